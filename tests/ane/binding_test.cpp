#include "ane/binding.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane/surface.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::CleanTemporary;
using milgen::test::compiled;
using milgen::test::evaluate;
using milgen::test::FakeScope;
using milgen::test::kTwoAndTwo;

namespace {

TensorLayout layout(std::string name, DType dtype, const Shape& shape, bool output = false) {
  auto made = make_layout(std::move(name), dtype, shape);
  REQUIRE(made);
  made->symbol = output ? output_symbol(made->name) : input_symbol(made->name);
  return *made;
}

Property text(std::string value) { return {std::move(value)}; }
Property integer(std::int64_t value) { return {value}; }

Property list(std::vector<std::string> names) {
  PropertyList entries;
  for (std::string& name : names) entries.push_back(text(std::move(name)));
  return {std::move(entries)};
}

/// One live entry; `more` overrides and adds.
Property live(std::string name, PropertyMap more) {
  more.try_emplace("Name", text(std::move(name)));
  return {std::move(more)};
}

Property attributes(std::vector<std::string> inputs, std::vector<std::string> outputs,
                    PropertyList live_inputs = {}, PropertyList live_outputs = {}) {
  PropertyMap description;
  if (!inputs.empty()) description["kANEFModelInputSymbolsArrayKey"] = list(std::move(inputs));
  if (!outputs.empty()) description["kANEFModelOutputSymbolsArrayKey"] = list(std::move(outputs));
  PropertyMap network;
  network["LiveInputList"] = {std::move(live_inputs)};
  network["LiveOutputList"] = {std::move(live_outputs)};
  PropertyMap all;
  all["ANEFModelDescription"] = {std::move(description)};
  all["NetworkStatusList"] = {PropertyList{{std::move(network)}}};
  return {std::move(all)};
}

Declaration two_and_two() {
  return {
      {layout("w", DType::fp16, {1, 2, 1, 4}), layout("a", DType::fp16, {1, 2, 1, 4})},
      {layout("z", DType::fp16, {1, 2, 1, 4}, true), layout("b", DType::fp16, {1, 2, 1, 1}, true)}};
}

/// Why `entry`, told of input x, does not fit its declaration.
std::string told_against(PropertyMap entry, const Shape& shape = {1, 4, 1, 4},
                         DType dtype = DType::fp16) {
  Told told;
  told.attributes = attributes({"x"}, {}, {live("x", std::move(entry))});
  Declaration declaration{{layout("x", dtype, shape)}, {}};
  bool by_engine = false;
  return bind_declaration(told, "p", declaration, by_engine).text();
}

std::string bind_text(const Told& told) {
  Declaration declaration = two_and_two();
  bool by_engine = false;
  return bind_declaration(told, "p", declaration, by_engine).text();
}

}  // namespace

TEST_CASE("names bind through the engine's table, wherever they stand in it") {
  Told told;
  told.attributes = attributes({"other", "w", "a"}, {"z@output", "b@output"});
  told.input_indices = {1, 2};
  told.output_indices = {0, 1};
  Declaration declaration = two_and_two();
  bool by_engine = false;
  CHECK(bind_declaration(told, "p", declaration, by_engine).text() == "");
  CHECK(by_engine);
  CHECK(declaration.inputs[0].symbol_index == 1);
  CHECK(declaration.inputs[1].symbol_index == 2);
  CHECK(declaration.outputs[0].symbol_index == 0);
  CHECK(declaration.outputs[0].symbol == "z@output");
  CHECK(declaration.outputs[1].symbol_index == 1);
  CHECK_FALSE(declaration.inputs[0].from_model);
}

TEST_CASE("the attributes' own indices of the procedure count where the messages give none") {
  Told told;
  told.attributes = attributes({"w", "a", "w"}, {"b", "z"});
  PropertyMap procedure;
  procedure["ANEFModelInputSymbolIndexArray"] = {PropertyList{integer(2), integer(1)}};
  PropertyMap& all = std::get<PropertyMap>(told.attributes.value);
  std::get<PropertyMap>(all["ANEFModelDescription"].value)["ANEFModelProcedures"] = {
      PropertyList{{std::move(procedure)}}};
  Declaration declaration = two_and_two();
  bool by_engine = false;
  CHECK(bind_declaration(told, "p", declaration, by_engine).text() == "");
  CHECK(declaration.inputs[0].symbol_index == 2);
  CHECK(declaration.inputs[1].symbol_index == 1);
}

TEST_CASE("without names the symbols are the sorted ones") {
  Declaration declaration = two_and_two();
  bool by_engine = true;
  CHECK(bind_declaration({}, "p", declaration, by_engine).text() == "");
  CHECK_FALSE(by_engine);
  CHECK(declaration.inputs[0].symbol_index == 1);
  CHECK(declaration.inputs[1].symbol_index == 0);
  CHECK(declaration.outputs[0].symbol_index == 1);
  CHECK(declaration.outputs[1].symbol_index == 0);

  Told told;
  told.input_indices = {4, 9};
  declaration = two_and_two();
  CHECK(bind_declaration(told, "p", declaration, by_engine).text() == "");
  CHECK_FALSE(by_engine);
  CHECK(declaration.inputs[0].symbol_index == 9);
  CHECK(declaration.inputs[1].symbol_index == 4);
}

TEST_CASE("names and numbers that contradict the text are refused with both") {
  Told told;
  told.attributes = attributes({"w", "x"}, {"z", "b"});
  CHECK(bind_text(told) == "the engine has no symbol for input a of p, only w, x");
  told.attributes = attributes({"w", "a"}, {"q@output"});
  CHECK(bind_text(told) == "the engine has no symbol for output z of p, only q@output");
  told.attributes = attributes({"w", "a"}, {"z", "b"});
  told.input_indices = {0, 1, 2};
  CHECK(bind_text(told) == "the engine binds 3 inputs of p but its text declares 2");
  told.input_indices = {0, 7};
  CHECK(bind_text(told) == "the engine binds input symbol 7 of p but has 2 symbols");
  told = {};
  told.output_indices = {0};
  CHECK(bind_text(told) == "the engine binds 1 outputs of p but its text declares 2");
}

TEST_CASE("strides are the program's own where it tells them") {
  Told told;
  told.attributes = attributes({"x"}, {"y@output"},
                               {live("x", {{"Type", text("Float16")},
                                           {"Batches", integer(1)},
                                           {"Channels", integer(4)},
                                           {"Height", integer(1)},
                                           {"Width", integer(4)},
                                           {"RowStride", integer(128)},
                                           {"PlaneStride", integer(256)},
                                           {"BatchStride", integer(2048)}})},
                               {live("y@output", {{"RowStride", integer(8)}})});
  Declaration declaration{{layout("x", DType::fp16, {1, 4, 1, 4})},
                          {layout("y", DType::fp16, {1, 4, 3, 4}, true)}};
  bool by_engine = false;
  REQUIRE(bind_declaration(told, "p", declaration, by_engine).text() == "");
  const TensorLayout& x = declaration.inputs[0];
  CHECK(x.from_model);
  CHECK(x.row_stride == 128);
  CHECK(x.depth_stride == 128);
  CHECK(x.plane_stride == 256);
  CHECK(x.batch_stride == 2048);
  const TensorLayout& y = declaration.outputs[0];
  CHECK(y.row_stride == 8);
  CHECK(y.plane_stride == 24);
  CHECK(y.batch_stride == 96);
}

TEST_CASE("a tensor of a lower rank may be split as the engine likes") {
  const auto split = [](std::int64_t batches, std::int64_t channels) {
    return PropertyMap{{"Batches", integer(batches)},
                       {"Channels", integer(channels)},
                       {"Height", integer(1)},
                       {"Width", integer(4)}};
  };
  CHECK(told_against(split(2, 3), {6, 4}) == "");
  CHECK(told_against(split(2, 2), {6, 4}) ==
        "input 'x' is tensor<fp16, [6, 4]>, which is [1, 1, 1, 6, 4], and the engine has it as [2, "
        "2, 1, 1, 4]");
}

TEST_CASE("layouts that contradict the text or themselves are refused with both values") {
  CHECK(told_against({{"Type", text("Float32")}}) ==
        "input 'x' is tensor<fp16, [1, 4, 1, 4]>, and the engine has it as fp32");
  CHECK(told_against({{"Type", text("Float16")}}) == "");
  CHECK(told_against({{"Type", text("Something")}}) == "");
  CHECK(told_against({{"Type", text("Int8")}}, {1, 4, 1, 4}, DType::boolean) == "");
  CHECK(told_against({{"Channels", integer(1)}, {"Height", integer(4)}}) ==
        "input 'x' is tensor<fp16, [1, 4, 1, 4]>, which is [1, 4, 1, 1, 4], and the engine has it "
        "as [1, 1, 1, 4, 4]");
  CHECK(told_against({{"Width", integer(8)}}) ==
        "input 'x' is tensor<fp16, [1, 4, 1, 4]>, which is [1, 4, 1, 1, 4], and the engine has it "
        "as [1, 4, 1, 1, 8]");
  CHECK(told_against({{"Interleave", integer(4)}}) ==
        "input 'x' is tensor<fp16, [1, 4, 1, 4]>, and the engine interleaves 4 of its channels");
  CHECK(told_against({{"RowStride", integer(65)}}) ==
        "input 'x' is tensor<fp16, [1, 4, 1, 4]>, and a stride of 65 bytes is no multiple of 2 "
        "bytes");
  CHECK(told_against({{"RowStride", integer(4)}}) ==
        "'x' is tensor<fp16, [1, 4, 1, 4]>, but a row of 4 x 2 bytes is given 4 bytes");
  CHECK(told_against({{"RowStride", integer(-64)}}) ==
        "'x' is tensor<fp16, [1, 4, 1, 4]>, but a row of 4 x 2 bytes is given -64 bytes");
  CHECK(told_against({{"PlaneStride", integer(32)}}) ==
        "'x' is tensor<fp16, [1, 4, 1, 4]>, but a plane of 1 x 64 bytes is given 32 bytes");
  CHECK(told_against({{"BatchStride", integer(64)}}) ==
        "'x' is tensor<fp16, [1, 4, 1, 4]>, but a batch of 4 x 64 bytes is given 64 bytes");
  CHECK(told_against({{"PlaneStride", integer(std::int64_t{1} << 62)}}) != "");
  CHECK(told_against({{"Batches", integer(INT64_MAX)}, {"Channels", integer(INT64_MAX)}}) != "");
}

TEST_CASE("a package declares what the engine tells of it") {
  Told told;
  told.attributes = attributes(
      {"a", "w"}, {"y@output"},
      {live("w", {{"Type", text("Float16")}, {"Channels", integer(2)}, {"Width", integer(4)}}),
       live("a", {{"Type", text("Float32")}, {"Depth", integer(3)}, {"Width", integer(5)}})},
      {live("y@output", {{"Type", text("UInt8")}, {"Width", integer(4)}})});
  const auto declaration = declaration_of(told);
  REQUIRE(declaration);
  REQUIRE(declaration->inputs.size() == 2);
  CHECK(declaration->inputs[0].name == "a");
  CHECK(to_string(declaration->inputs[0].shape) == "[1, 1, 3, 1, 5]");
  CHECK(declaration->inputs[0].dtype == DType::fp32);
  CHECK(declaration->inputs[1].name == "w");
  CHECK(to_string(declaration->inputs[1].shape) == "[1, 2, 1, 4]");
  REQUIRE(declaration->outputs.size() == 1);
  CHECK(declaration->outputs[0].name == "y");
  CHECK(declaration->outputs[0].dtype == DType::uint8);
  const auto none = declaration_of({});
  REQUIRE(none);
  CHECK(none->inputs.empty());

  told.attributes = attributes({}, {}, {live("w", {{"Width", integer(4)}})});
  CHECK(declaration_of(told).error().kind() == ErrorKind::layout);
}

TEST_CASE("a program gives the right numbers however its symbols and rows lie") {
  struct Case {
    std::string names, rows, attributes, hide;
    bool by_engine;
  };
  for (const Case& one :
       std::vector<Case>{{"sorted", "64", "1", "", true},
                         {"declared", "64", "1", "", true},
                         {"sorted", "128", "1", "", true},
                         {"sorted", "packed", "1", "", true},
                         {"sorted", "64", "0", "", false},
                         {"declared", "64", "1",
                          "_ANEModel.inputSymbolIndicesForProcedureIndex:+_ANEModel."
                          "outputSymbolIndicesForProcedureIndex:",
                          true},
                         {"declared", "64", "1", "_ANEModel.modelAttributes", true},
                         {"sorted", "64", "1", "_ANEInMemoryModel.model", true}}) {
    CAPTURE(one.names);
    CAPTURE(one.rows);
    CAPTURE(one.attributes);
    CAPTURE(one.hide);
    CleanTemporary temporary;
    FakeScope fake({{"names", one.names},
                    {"rows", one.rows},
                    {"attributes", one.attributes},
                    {"hide", one.hide}});
    Model model = compiled(fake.engine(), kTwoAndTwo);
    CHECK(model.bound_by_engine() == one.by_engine);
    test::write(model, "w", {10, 20, 30, 40, 50, 60, 70, 80});
    test::write(model, "a", {1, 2, 3, 4, 5, 6, 7, 8});
    evaluate(model);
    CHECK(test::read(model, "z") == std::vector<float>{9, 18, 27, 36, 45, 54, 63, 72});
    CHECK(test::read(model, "b") == std::vector<float>{90, 234});
  }
}
