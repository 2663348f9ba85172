#include "cli/own_examples.h"

#include <algorithm>
#include <array>

#include "milgen/milgen.h"

namespace milgen::cli {
namespace {

constexpr std::array<OwnExample, 12> kExamples = {{
    {OpCode::classify,
     R"(auto x = k.input<fp32>("x", {1, 3});
auto [label, probabilities] = classify(x, {"cat", "dog", "fox"});
k.output("label", label);
k.output("probabilities", probabilities);
)",
     [](Kernel& k) {
       auto x = k.input<fp32>("x", {1, 3});
       auto [label, probabilities] = classify(x, {"cat", "dog", "fox"});
       k.output("label", label);
       k.output("probabilities", probabilities);
     }},
    {OpCode::cond,
     R"(auto x = k.input<fp16>("x", {1, 4});
auto flag = k.input<bool>("flag", {1});
auto out = cond(squeeze(flag), [&] { return relu(x); }, [&] { return x * 2; });
k.output("out", out);
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {1, 4});
       auto flag = k.input<bool>("flag", {1});
       auto out = cond(
           squeeze(flag), [&] { return relu(x); }, [&] { return x * 2; });
       k.output("out", out);
     }},
    {OpCode::coreml_update_state,
     R"(auto cache = k.state<fp16>("cache", {1, 4});
auto x = k.input<fp16>("x", {1, 4});
auto out = coreml_update_state(cache, read_state(cache) + x);
k.output("out", out);
)",
     [](Kernel& k) {
       auto cache = k.state<fp16>("cache", {1, 4});
       auto x = k.input<fp16>("x", {1, 4});
       auto out = coreml_update_state(cache, read_state(cache) + x);
       k.output("out", out);
     }},
    {OpCode::list_gather,
     R"(auto x = k.input<fp16>("x", {2, 4});
auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
auto out = list_gather(ls, {1, 0});
k.output("out", out);
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {2, 4});
       auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
       auto out = list_gather(ls, {1, 0});
       k.output("out", out);
     }},
    {OpCode::list_length,
     R"(auto x = k.input<fp16>("x", {2, 4});
auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
auto out = list_length(ls);
k.output("out", out);
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {2, 4});
       auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
       auto out = list_length(ls);
       k.output("out", out);
     }},
    {OpCode::list_read,
     R"(auto x = k.input<fp16>("x", {2, 4});
auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
auto out = list_read(ls, 1);
k.output("out", out);
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {2, 4});
       auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
       auto out = list_read(ls, 1);
       k.output("out", out);
     }},
    {OpCode::list_scatter,
     R"(auto x = k.input<fp16>("x", {2, 4});
auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
k.output("out", list_read(ls, 1));
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {2, 4});
       auto ls = list_scatter(make_list<fp16>(k, {4}), {0, 1}, x);
       k.output("out", list_read(ls, 1));
     }},
    {OpCode::list_write,
     R"(auto x = k.input<fp16>("x", {1, 4});
auto ls = list_write(make_list<fp16>(k, {1, 4}), 0, x);
k.output("out", list_read(ls, 0));
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {1, 4});
       auto ls = list_write(make_list<fp16>(k, {1, 4}), 0, x);
       k.output("out", list_read(ls, 0));
     }},
    {OpCode::make_list,
     R"(auto ls = make_list<fp16>(k, {1, 4}, {.init_length = 2, .dynamic_length = false});
k.output("out", list_read(ls, 0));
)",
     [](Kernel& k) {
       auto ls = make_list<fp16>(k, {1, 4}, {.init_length = 2, .dynamic_length = false});
       k.output("out", list_read(ls, 0));
     }},
    {OpCode::read_state,
     R"(auto cache = k.state<fp16>("cache", {1, 4});
auto out = read_state(cache);
k.output("out", out);
)",
     [](Kernel& k) {
       auto cache = k.state<fp16>("cache", {1, 4});
       auto out = read_state(cache);
       k.output("out", out);
     }},
    {OpCode::while_loop,
     R"(auto x = k.input<fp16>("x", {1, 4});
auto [count, out] = while_loop(
    [&](Tensor<int32> i, Tensor<fp16>) { return i < 3; },
    [&](Tensor<int32> i, Tensor<fp16> h) { return Pack(i + 1, h * 2); },
    Pack(k.scalar<int32>(0), x));
k.output("out", out);
)",
     [](Kernel& k) {
       auto x = k.input<fp16>("x", {1, 4});
       auto [count, out] =
           while_loop([&](Tensor<int32> i, Tensor<fp16>) { return i < 3; },
                      [&](Tensor<int32> i, Tensor<fp16> h) { return Pack(i + 1, h * 2); },
                      Pack(k.scalar<int32>(0), x));
       k.output("out", out);
     }},
    {OpCode::write_state,
     R"(auto cache = k.state<fp16>("cache", {1, 4});
auto x = k.input<fp16>("x", {1, 4});
auto out = read_state(cache);
write_state(cache, x);
k.output("out", out);
)",
     [](Kernel& k) {
       auto cache = k.state<fp16>("cache", {1, 4});
       auto x = k.input<fp16>("x", {1, 4});
       auto out = read_state(cache);
       write_state(cache, x);
       k.output("out", out);
     }},
}};

}  // namespace

const OwnExample* find_own_example(OpCode op) {
  const auto* found = std::ranges::find(kExamples, op, &OwnExample::op);
  return found == kExamples.end() ? nullptr : found;
}

}  // namespace milgen::cli
