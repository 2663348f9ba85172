// The kernels at the end of the model: each against a program written by hand from its formula, and
// what they refuse.
#include "milgen/kernels/classifier.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_checks.h"
#include "kernels/mil_graph.h"
#include "milgen/module.h"
#include "milgen/verify.h"

using namespace milgen;
using namespace milgen::test;

namespace {

using Build = KernelBuild<ClassifierConfig>;

struct Named {
  const char* name;
  Build build;
};
constexpr Named kKernels[] = {
    {"rmsnorm_bwd", rmsnorm_bwd},       {"final_rmsnorm", final_rmsnorm},
    {"classifier_fwd", classifier_fwd}, {"classifier_bwd", classifier_bwd},
    {"softmax_vocab", softmax_vocab},   {"classifier_bwd_split", classifier_bwd_split},
};

const ClassifierConfig kTiny = {.dim = 4, .vocab = 96, .seq = 8, .eps = 0.25, .most_inner = 40};

std::string hand_program(const std::string& input, const std::string& body) {
  return "program(1.3)[buildInfo=dict<string,string>({})]{func main<ios18>(" + input + "){" + body +
         "}->(out);}";
}

/// Every float of kTiny is a short binary fraction: 1 / 4, 1 / 4, -1 / 2.
constexpr std::string_view kNormConstants = R"(
  tensor<int32,[1]> rax=const()[name=string("rax"),val=tensor<int32,[1]>([1])];
  bool kd=const()[name=string("kd"),val=bool(true)];
  fp16 invd=const()[name=string("invd"),val=fp16(0.25)];
  fp16 eps=const()[name=string("eps"),val=fp16(0.25)];
  fp16 nhalf=const()[name=string("nhalf"),val=fp16(-0.5)];
  tensor<fp16,[1,4,1,1]> w=const()[name=string("w"),val=tensor<fp16,[1,4,1,1]>(BLOBFILE(path=string("@model_path/weights/rms_w.bin"),offset=uint64(64)))];
)";
/// From `x` to rrms.
std::string reciprocal_rms(const std::string& x) {
  return "tensor<fp16,[1,4,1,8]> sq=mul(x=" + x + ",y=" + x + R"()[name=string("sq")];
  tensor<fp16,[1,1,1,8]> ss=reduce_sum(x=sq,axes=rax,keep_dims=kd)[name=string("ss")];
  tensor<fp16,[1,1,1,8]> ss2=mul(x=ss,y=invd)[name=string("ss2")];
  tensor<fp16,[1,1,1,8]> ss3=add(x=ss2,y=eps)[name=string("ss3")];
  tensor<fp16,[1,1,1,8]> rrms=pow(x=ss3,y=nhalf)[name=string("rrms")];
)";
}

std::string slice(const std::string& name, int first, int channels) {
  const std::string dims = std::to_string(channels);
  const std::string ints = "tensor<int32,[4]>";
  return ints + " " + name + "b=const()[name=string(\"b\"),val=" + ints + "([0," +
         std::to_string(first) + ",0,0])];" + ints + " " + name +
         "s=const()[name=string(\"s\"),val=" + ints + "([1," + dims + ",1,8])];tensor<fp16,[1," +
         dims + ",1,8]> " + name + "=slice_by_size(x=x,begin=" + name + "b,size=" + name +
         "s)[name=string(\"n\")];";
}

std::string hand_rmsnorm_bwd() {
  return hand_program("tensor<fp16,[1,8,1,8]> x", std::string(kNormConstants) + slice("dy", 0, 4) +
                                                      slice("x0", 4, 4) + reciprocal_rms("x0") + R"(
  tensor<fp16,[1,4,1,8]> dyw=mul(x=dy,y=w)[name=string("dyw")];
  tensor<fp16,[1,4,1,8]> dywx=mul(x=dyw,y=x0)[name=string("dywx")];
  tensor<fp16,[1,1,1,8]> dot=reduce_sum(x=dywx,axes=rax,keep_dims=kd)[name=string("dot")];
  tensor<fp16,[1,1,1,8]> mean=mul(x=dot,y=invd)[name=string("mean")];
  tensor<fp16,[1,1,1,8]> rr=mul(x=rrms,y=rrms)[name=string("rr")];
  tensor<fp16,[1,1,1,8]> f=mul(x=mean,y=rr)[name=string("f")];
  tensor<fp16,[1,4,1,8]> xf=mul(x=x0,y=f)[name=string("xf")];
  tensor<fp16,[1,4,1,8]> d=sub(x=dyw,y=xf)[name=string("d")];
  tensor<fp16,[1,4,1,8]> out=mul(x=d,y=rrms)[name=string("out")];
)");
}

std::string hand_final_rmsnorm() {
  return hand_program("tensor<fp16,[1,4,1,8]> x",
                      std::string(kNormConstants) + reciprocal_rms("x") + R"(
  tensor<fp16,[1,4,1,8]> xr=mul(x=x,y=rrms)[name=string("xr")];
  tensor<fp16,[1,4,1,8]> out=mul(x=xr,y=w)[name=string("out")];
)");
}

/// [1, 4, 8] of `dl` [1, channels, 1, 8].
std::string product(const std::string& name, const std::string& weight, const std::string& dl,
                    int channels) {
  const std::string v = std::to_string(channels);
  const std::string matrix = "tensor<fp16,[1,4," + v + "]>";
  return matrix + " " + weight + "=const()[name=string(\"w\"),val=" + matrix +
         "(BLOBFILE(path=string(\"@model_path/weights/" + weight +
         ".bin\"),offset=uint64(64)))];tensor<int32,[3]> " + name +
         "sh=const()[name=string(\"s\"),val=tensor<int32,[3]>([1," + v + ",8])];tensor<fp16,[1," +
         v + ",8]> " + name + "3=reshape(x=" + dl + ",shape=" + name +
         "sh)[name=string(\"r\")];tensor<fp16,[1,4,8]> " + name +
         "=matmul(transpose_x=no,transpose_y=no,x=" + weight + ",y=" + name +
         "3)[name=string(\"m\")];";
}

constexpr std::string_view kNo = R"(bool no=const()[name=string("no"),val=bool(false)];)";
constexpr std::string_view kBack = R"(
  tensor<int32,[4]> osh=const()[name=string("osh"),val=tensor<int32,[4]>([1,4,1,8])];
  tensor<fp16,[1,4,1,8]> out=reshape(x=dx,shape=osh)[name=string("out")];
)";

std::string hand_classifier_bwd() {
  return hand_program("tensor<fp16,[1,96,1,8]> x",
                      std::string(kNo) + product("dx", "embed_t", "x", 96) + std::string(kBack));
}

/// 96 channels, at most 40 at a time: three slices of 32.
std::string hand_classifier_bwd_split() {
  return hand_program("tensor<fp16,[1,96,1,8]> x", std::string(kNo) + slice("d0", 0, 32) +
                                                       slice("d1", 32, 32) + slice("d2", 64, 32) +
                                                       product("p0", "embed_t_0", "d0", 32) +
                                                       product("p1", "embed_t_1", "d1", 32) +
                                                       product("p2", "embed_t_2", "d2", 32) + R"(
  tensor<fp16,[1,4,8]> p01=add(x=p0,y=p1)[name=string("p01")];
  tensor<fp16,[1,4,8]> dx=add(x=p01,y=p2)[name=string("dx")];
)" + std::string(kBack));
}

std::vector<std::int64_t> slices(std::int64_t vocab, std::int64_t most_inner) {
  const Program program = finished(classifier_bwd_split,
                                   {.dim = 2, .vocab = vocab, .seq = 1, .most_inner = most_inner});
  std::vector<std::int64_t> sizes;
  for (const WeightInfo& weight : program.weights()) {
    CHECK(weight.name == "embed_t_" + std::to_string(sizes.size()));
    sizes.push_back(weight.shape[2]);
  }
  return sizes;
}

}  // namespace

TEST_CASE("kernels of formulas are the graphs that a hand writes from them") {
  const auto same = [](Build build, const std::string& text) {
    MilGraphs graphs;
    const int by_hand = graphs.read(text);
    const std::size_t known = graphs.size();
    CHECK(graphs.read(print_mil(finished(build, kTiny))) == by_hand);
    CHECK(graphs.size() == known);
  };
  same(rmsnorm_bwd, hand_rmsnorm_bwd());
  same(final_rmsnorm, hand_final_rmsnorm());
  same(classifier_bwd, hand_classifier_bwd());
  same(classifier_bwd_split, hand_classifier_bwd_split());
}

TEST_CASE("inputs, outputs and weights have the shapes of the configuration") {
  struct Case {
    Build build;
    Shape input;
    Shape output;
    const char* weight;
    Shape weight_shape;
  };
  const Case cases[] = {
      {rmsnorm_bwd, {1, 8, 1, 8}, {1, 4, 1, 8}, "rms_w", {1, 4, 1, 1}},
      {final_rmsnorm, {1, 4, 1, 8}, {1, 4, 1, 8}, "rms_w", {1, 4, 1, 1}},
      {classifier_fwd, {1, 4, 1, 8}, {1, 96, 1, 8}, "embed", {96, 4, 1, 1}},
      {classifier_bwd, {1, 96, 1, 8}, {1, 4, 1, 8}, "embed_t", {1, 4, 96}},
      {softmax_vocab, {1, 96, 1, 8}, {1, 96, 1, 8}, nullptr, {}},
  };
  for (const Case& c : cases) {
    const Program program = finished(c.build, kTiny);
    REQUIRE(program.inputs().size() == 1);
    CHECK(program.inputs()[0].name == "x");
    CHECK(program.inputs()[0].dtype == DType::fp16);
    CHECK(program.inputs()[0].shape == c.input);
    REQUIRE(program.outputs().size() == 1);
    CHECK(program.outputs()[0].name == "out");
    CHECK(program.outputs()[0].shape == c.output);
    REQUIRE(program.weights().size() == (c.weight == nullptr ? 0 : 1));
    if (c.weight == nullptr) continue;
    CHECK(program.weights()[0].name == c.weight);
    CHECK(program.weights()[0].shape == c.weight_shape);
  }
}

TEST_CASE("softmax goes over the vocabulary, and the forward classifier is one convolution") {
  const std::string softmax = print_mil(finished(softmax_vocab, kTiny));
  CHECK(softmax.find("val = int32(1)") != std::string::npos);
  CHECK(softmax.find("= softmax(axis = ") != std::string::npos);
  const std::string forward = print_mil(finished(classifier_fwd, kTiny));
  CHECK(forward.find("tensor<fp16, [1, 96, 1, 8]> out = conv(") != std::string::npos);
}

TEST_CASE("slices of the vocabulary are even, whole and no longer than allowed") {
  using Sizes = std::vector<std::int64_t>;
  CHECK(slices(32'000, 16'384) == Sizes{16'000, 16'000});
  CHECK(slices(512, 200) == Sizes{192, 192, 128});
  CHECK(slices(512, 512) == Sizes{512});
  CHECK(slices(512, 511) == Sizes{256, 256});
  CHECK(slices(7, 3) == Sizes{3, 3, 1});
  CHECK(slices(1, 16'384) == Sizes{1});
  for (const std::int64_t most : {1, 31, 32, 33, 100, 999}) {
    std::int64_t total = 0;
    for (const std::int64_t size : slices(1000, most)) {
      CHECK(size <= most);
      total += size;
    }
    CHECK(total == 1000);
  }
}

TEST_CASE("a vocabulary of 151,936 makes correct programs") {
  const ClassifierConfig qwen3 = {.dim = 1024, .vocab = 151'936, .eps = 1e-6};
  for (const Named& kernel : kKernels) {
    CAPTURE(kernel.name);
    const std::string text = print_mil(finished(kernel.build, qwen3));
    Diagnostics found;
    const Module module = parse_mil(text, found);
    CHECK(verify_mil(module, {}, found));
    INFO(render(found));
    CHECK(found.empty());
  }
  CHECK(finished(classifier_bwd_split, qwen3).weights().size() == 10);
}

TEST_CASE("a configuration that breaks a rule of the classifier is told which") {
  struct Case {
    ClassifierConfig config;
    const char* message;
  };
  const Case cases[] = {
      {{.dim = 0}, "dim is 0 but has to be 1 to 1048576"},
      {{.vocab = -1}, "vocab is -1 but has to be 1 to 1048576"},
      {{.seq = std::numeric_limits<std::int64_t>::max()},
       "seq is 9223372036854775807 but has to be 1 to 1048576"},
      {{.most_inner = 0}, "most_inner is 0 but has to be 1 to 1048576"},
      {{.eps = -1}, "eps is -1 but has to be above 0"},
      {{.eps = std::numeric_limits<double>::infinity()}, "eps is inf but has to be above 0"},
  };
  for (const Case& c : cases) {
    for (const Named& kernel : kKernels) {
      CHECK(refusal(kernel.build, c.config) == std::string("kernel: ") + c.message);
    }
  }
  CHECK(refusal(classifier_bwd_split, {.most_inner = 31}) ==
        "kernel: most_inner is 31, which cuts vocab, 32000, into 1033 slices, but 1024 are the "
        "most");
}

TEST_CASE("the classifier set is registered with its configurations") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo* set = registry.find_set("classifier");
  REQUIRE(set != nullptr);
  CHECK(set->kernels.size() == std::size(kKernels));
  for (const Named& kernel : kKernels) CHECK(set->find(kernel.name) != nullptr);
  CHECK(set->describe(set->configs.front().config) ==
        "dim=768 vocab=32000 seq=256 eps=1e-05 most_inner=16384");
  REQUIRE(set->find_config("small") != nullptr);
  CHECK(set->describe(set->find_config("small")->config) ==
        "dim=64 vocab=512 seq=32 eps=1e-05 most_inner=200");
}
