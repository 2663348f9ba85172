// The six Stories kernels against programs written by hand in the field's style. The reference text
// below is written from the formulas alone, op by op, and is compared as a graph: names, constant
// placement and number spelling aside, the two have to be the same.
#include "milgen/kernels/stories.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <string>

#include "kernels/mil_graph.h"
#include "milgen/milgen.h"

using namespace milgen;
using milgen::test::MilGraphs;

namespace {

/// A hand-written program, as a printf template of the field has it.
class Hand {
 public:
  explicit Hand(const StoriesConfig& config) : c(config) {}

  std::string format(const char* pattern, ...) {
    va_list args;
    va_start(args, pattern);
    char line[1024];
    std::vsnprintf(line, sizeof line, pattern, args);
    va_end(args);
    return line;
  }
  void add(const std::string& line) { body += line + "\n"; }
  /// T name = call[name = string("name")];
  void op(const std::string& type, const std::string& name, const std::string& call) {
    add(type + " " + name + "=" + call + "[name=string(\"" + name + "\")];");
  }
  void constant(const std::string& type, const std::string& name, const std::string& value) {
    add(type + " " + name + "=const()[name=string(\"" + name + "\"),val=" + type + "(" + value +
        ")];");
  }
  void blob(const std::string& type, const std::string& name) {
    constant(type, name,
             "BLOBFILE(path=string(\"@model_path/weights/" + name + ".bin\"),offset=uint64(64))");
  }
  /// [1, channels, 1, S]
  std::string act(std::int64_t channels) {
    return format("tensor<fp16,[1,%lld,1,%lld]>", static_cast<long long>(channels),
                  static_cast<long long>(c.seq));
  }
  std::string dims4(std::int64_t a, std::int64_t b, std::int64_t d, std::int64_t e) {
    return format("[%lld,%lld,%lld,%lld]", static_cast<long long>(a), static_cast<long long>(b),
                  static_cast<long long>(d), static_cast<long long>(e));
  }
  std::string t4(std::int64_t a, std::int64_t b, std::int64_t d, std::int64_t e) {
    return "tensor<fp16," + dims4(a, b, d, e) + ">";
  }
  /// A half is written with all its digits, so that no reader rounds it twice.
  void half(const std::string& name, double value) {
    constant("fp16", name, format("%.17g", value));
  }
  void conv_constants() {
    constant("string", "pt", "\"valid\"");
    constant("tensor<int32,[2]>", "st", "[1,1]");
    constant("tensor<int32,[4]>", "pd", "[0,0,0,0]");
    constant("tensor<int32,[2]>", "dl", "[1,1]");
    constant("int32", "gr", "1");
  }
  void conv(const std::string& name, const std::string& x, const std::string& w, std::int64_t out,
            std::int64_t in) {
    blob(t4(out, in, 1, 1), w);
    op(act(out), name,
       "conv(dilations=dl,groups=gr,pad=pd,pad_type=pt,strides=st,weight=" + w + ",x=" + x + ")");
  }
  void rms_norm(const std::string& gain) {
    const std::string row = t4(1, 1, 1, c.seq);
    constant("tensor<int32,[1]>", "rax", "[1]");
    constant("bool", "kd", "true");
    op(act(c.dim), "sq", "mul(x=x,y=x)");
    op(row, "ss", "reduce_sum(x=sq,axes=rax,keep_dims=kd)");
    half("invd", half_of(1.0 / static_cast<double>(c.dim)));
    op(row, "ss2", "mul(x=ss,y=invd)");
    half("eps", half_of(c.eps));
    op(row, "ss3", "add(x=ss2,y=eps)");
    half("nhalf", -0.5);
    op(row, "rrms", "pow(x=ss3,y=nhalf)");
    op(act(c.dim), "xr", "mul(x=x,y=rrms)");
    blob(t4(1, c.dim, 1, 1), gain);
    op(act(c.dim), "xn", "mul(x=xr,y=" + gain + ")");
  }
  /// The nearest half of a positive normal or subnormal number, by scaling and rounding to even.
  static double half_of(double value) {
    int exponent = 0;
    std::frexp(value, &exponent);
    const double step = std::ldexp(1.0, std::max(exponent - 11, -24));
    return std::nearbyint(value / step) * step;
  }
  void head_constants() {
    const std::int64_t d = c.dim / c.heads;
    constant("tensor<int32,[4]>", "qsh", dims4(1, c.heads, d, c.seq));
    constant("tensor<int32,[4]>", "fsh", dims4(1, c.dim, 1, c.seq));
    constant("tensor<int32,[4]>", "pm", "[0,1,3,2]");
    constant("bool", "no", "false");
    constant("bool", "yes", "true");
    half("sc", half_of(1.0 / std::sqrt(static_cast<double>(d))));
  }
  void heads(const std::string& name, const std::string& x) {
    const std::int64_t d = c.dim / c.heads;
    op(t4(1, c.heads, d, c.seq), name + "4", "reshape(shape=qsh,x=" + x + ")");
    op(t4(1, c.heads, c.seq, d), name, "transpose(perm=pm,x=" + name + "4)");
  }
  void unheads(const std::string& name, const std::string& x) {
    const std::int64_t d = c.dim / c.heads;
    op(t4(1, c.heads, d, c.seq), name + "t", "transpose(perm=pm,x=" + x + ")");
    op(act(c.dim), name, "reshape(shape=fsh,x=" + name + "t)");
  }
  void probs() {
    const std::string square = t4(1, c.heads, c.seq, c.seq);
    op(square, "s1", "matmul(transpose_x=no,transpose_y=yes,x=q,y=k)");
    op(square, "s2", "mul(x=s1,y=sc)");
    blob(t4(1, 1, c.seq, c.seq), "mask");
    op(square, "s3", "add(x=s2,y=mask)");
    constant("int32", "sax", "-1");
    op(square, "probs", "softmax(axis=sax,x=s3)");
  }
  void slice(const std::string& name, std::int64_t from, std::int64_t channels) {
    constant("tensor<int32,[4]>", name + "b", dims4(0, from, 0, 0));
    constant("tensor<int32,[4]>", name + "s", dims4(1, channels, 1, c.seq));
    op(act(channels), name, "slice_by_size(x=x,begin=" + name + "b,size=" + name + "s)");
  }
  void concat(std::int64_t channels, const std::string& values) {
    constant("int32", "cax", "1");
    constant("bool", "cid", "false");
    op(act(channels), "out", "concat(axis=cax,interleave=cid,values=(" + values + "))");
  }
  std::string program(std::int64_t in_channels) {
    return "program(1.3)[buildInfo=dict<string,string>({})]{func main<ios18>(" + act(in_channels) +
           " x){" + body + "}->(out);}";
  }

  const StoriesConfig& c;
  std::string body;
};

std::string hand_sdpa_fwd_taps(const StoriesConfig& c) {
  Hand h(c);
  h.rms_norm("rms1");
  h.conv_constants();
  h.conv("qf", "xn", "wq", c.dim, c.dim);
  h.conv("kf", "xn", "wk", c.dim, c.dim);
  h.conv("vf", "xn", "wv", c.dim, c.dim);
  h.head_constants();
  h.heads("q", "qf");
  h.heads("k", "kf");
  h.heads("v", "vf");
  h.probs();
  h.op(h.t4(1, c.heads, c.seq, c.dim / c.heads), "at",
       "matmul(transpose_x=no,transpose_y=no,x=probs,y=v)");
  h.unheads("af", "at");
  h.conv("of", "af", "wo", c.dim, c.dim);
  h.concat(6 * c.dim, "of,qf,kf,vf,af,xn");
  return h.program(c.dim);
}

std::string hand_ffn_fwd_taps(const StoriesConfig& c) {
  Hand h(c);
  h.rms_norm("rms2");
  h.conv_constants();
  h.conv("h1", "xn", "w1", c.hidden, c.dim);
  h.conv("h3", "xn", "w3", c.hidden, c.dim);
  h.op(h.act(c.hidden), "sig", "sigmoid(x=h1)");
  h.op(h.act(c.hidden), "silu", "mul(x=h1,y=sig)");
  h.op(h.act(c.hidden), "gate", "mul(x=silu,y=h3)");
  h.conv("y", "gate", "w2", c.dim, c.hidden);
  h.concat(2 * c.dim + 3 * c.hidden, "y,h1,h3,gate,xn");
  return h.program(c.dim);
}

std::string hand_ffn_bwd(const StoriesConfig& c) {
  Hand h(c);
  const std::string wide = h.act(c.hidden);
  h.slice("dffn", 0, c.dim);
  h.slice("h1", c.dim, c.hidden);
  h.slice("h3", c.dim + c.hidden, c.hidden);
  h.conv_constants();
  h.conv("dsilu", "dffn", "w2t", c.hidden, c.dim);
  h.op(wide, "sig", "sigmoid(x=h1)");
  h.half("one", 1);
  h.op(wide, "oms", "sub(x=one,y=sig)");
  h.op(wide, "homs", "mul(x=h1,y=oms)");
  h.op(wide, "brk", "add(x=one,y=homs)");
  h.op(wide, "dsd", "mul(x=sig,y=brk)");
  h.op(wide, "t1", "mul(x=dsilu,y=h3)");
  h.op(wide, "dh1", "mul(x=t1,y=dsd)");
  h.op(wide, "slh", "mul(x=h1,y=sig)");
  h.op(wide, "dh3", "mul(x=dsilu,y=slh)");
  h.conv("dx1", "dh1", "w1t", c.dim, c.hidden);
  h.conv("dx3", "dh3", "w3t", c.dim, c.hidden);
  h.op(h.act(c.dim), "dx", "add(x=dx1,y=dx3)");
  h.concat(c.dim + 2 * c.hidden, "dx,dh1,dh3");
  return h.program(c.dim + 2 * c.hidden);
}

std::string hand_sdpa_bwd1(const StoriesConfig& c) {
  Hand h(c);
  const std::int64_t d = c.dim / c.heads;
  const std::int64_t scores = c.heads * c.seq;
  h.slice("qf", 0, c.dim);
  h.slice("kf", c.dim, c.dim);
  h.slice("vf", 2 * c.dim, c.dim);
  h.slice("dx2", 3 * c.dim, c.dim);
  h.conv_constants();
  h.conv("df", "dx2", "wot", c.dim, c.dim);
  h.head_constants();
  h.heads("q", "qf");
  h.heads("k", "kf");
  h.heads("v", "vf");
  h.heads("da", "df");
  h.probs();
  h.op(h.t4(1, c.heads, c.seq, d), "dv4", "matmul(transpose_x=yes,transpose_y=no,x=probs,y=da)");
  h.op(h.t4(1, c.heads, c.seq, c.seq), "dp4", "matmul(transpose_x=no,transpose_y=yes,x=da,y=v)");
  h.unheads("dvf", "dv4");
  h.constant("tensor<int32,[4]>", "ssh", h.dims4(1, scores, 1, c.seq));
  h.op(h.act(scores), "pf", "reshape(shape=ssh,x=probs)");
  h.op(h.act(scores), "dpf", "reshape(shape=ssh,x=dp4)");
  h.concat(c.dim + 2 * scores, "dvf,pf,dpf");
  return h.program(4 * c.dim);
}

std::string hand_sdpa_bwd2(const StoriesConfig& c) {
  Hand h(c);
  const std::int64_t d = c.dim / c.heads;
  const std::int64_t scores = c.heads * c.seq;
  const std::string square = h.t4(1, c.heads, c.seq, c.seq);
  h.slice("pf", 0, scores);
  h.slice("dpf", scores, scores);
  h.slice("qf", 2 * scores, c.dim);
  h.slice("kf", 2 * scores + c.dim, c.dim);
  h.constant("tensor<int32,[4]>", "ssh", h.dims4(1, c.heads, c.seq, c.seq));
  h.op(square, "p", "reshape(shape=ssh,x=pf)");
  h.op(square, "dp", "reshape(shape=ssh,x=dpf)");
  h.head_constants();
  h.heads("q", "qf");
  h.heads("k", "kf");
  h.op(square, "pdp", "mul(x=p,y=dp)");
  h.constant("tensor<int32,[1]>", "rax", "[-1]");
  h.constant("bool", "kd", "true");
  h.op(h.t4(1, c.heads, c.seq, 1), "spdp", "reduce_sum(x=pdp,axes=rax,keep_dims=kd)");
  h.op(square, "dps", "sub(x=dp,y=spdp)");
  h.op(square, "ds0", "mul(x=p,y=dps)");
  h.op(square, "ds", "mul(x=ds0,y=sc)");
  h.op(h.t4(1, c.heads, c.seq, d), "dq4", "matmul(transpose_x=no,transpose_y=no,x=ds,y=k)");
  h.op(h.t4(1, c.heads, c.seq, d), "dk4", "matmul(transpose_x=yes,transpose_y=no,x=ds,y=q)");
  h.unheads("dqf", "dq4");
  h.unheads("dkf", "dk4");
  h.concat(2 * c.dim, "dqf,dkf");
  return h.program(2 * scores + 2 * c.dim);
}

std::string hand_qkv_bwd(const StoriesConfig& c) {
  Hand h(c);
  h.slice("dq", 0, c.dim);
  h.slice("dk", c.dim, c.dim);
  h.slice("dv", 2 * c.dim, c.dim);
  h.conv_constants();
  h.conv("dxq", "dq", "wqt", c.dim, c.dim);
  h.conv("dxk", "dk", "wkt", c.dim, c.dim);
  h.conv("dxv", "dv", "wvt", c.dim, c.dim);
  h.op(h.act(c.dim), "dxqk", "add(x=dxq,y=dxk)");
  h.op(h.act(c.dim), "out", "add(x=dxqk,y=dxv)");
  return h.program(3 * c.dim);
}

using Build = void (*)(Kernel&, const StoriesConfig&);
using Write = std::string (*)(const StoriesConfig&);
struct Pair {
  const char* name;
  Build build;
  Write write;
};
constexpr Pair kKernels[] = {
    {"sdpa_fwd_taps", sdpa_fwd_taps, hand_sdpa_fwd_taps},
    {"ffn_fwd_taps", ffn_fwd_taps, hand_ffn_fwd_taps},
    {"ffn_bwd", ffn_bwd, hand_ffn_bwd},
    {"sdpa_bwd1", sdpa_bwd1, hand_sdpa_bwd1},
    {"sdpa_bwd2", sdpa_bwd2, hand_sdpa_bwd2},
    {"qkv_bwd", qkv_bwd, hand_qkv_bwd},
};

std::string emitted(const Pair& kernel, const StoriesConfig& config, const PrintOptions& options) {
  Kernel k(kernel.name);
  kernel.build(k, config);
  const Program program = k.finish();
  INFO(render(k.diagnostics()));
  REQUIRE(program);
  CHECK(k.diagnostics().empty());
  return print_mil(program, options);
}

}  // namespace

TEST_CASE("each kernel is the graph that the field writes by hand") {
  const StoriesConfig configs[] = {
      {},
      {.dim = 64, .hidden = 160, .heads = 2, .seq = 32},
      {.dim = 96, .hidden = 8, .heads = 6, .seq = 1},
      {.dim = 5, .hidden = 7, .heads = 1, .seq = 3, .eps = 1e-6},
      {.dim = 1536, .hidden = 4096, .heads = 24, .seq = 512},
  };
  for (const StoriesConfig& config : configs) {
    for (const Pair& kernel : kKernels) {
      CAPTURE(kernel.name);
      CAPTURE(config.dim);
      for (const TextStyle style : {TextStyle::apple, TextStyle::compact}) {
        for (const FloatStyle floats : {FloatStyle::hex, FloatStyle::decimal}) {
          // Decimals are the shortest that round to the half, so the hex text is compared.
          if (floats == FloatStyle::decimal) continue;
          MilGraphs graphs;
          const int by_hand = graphs.read(kernel.write(config));
          const std::size_t known = graphs.size();
          const int ours = graphs.read(
              emitted(kernel, config, {.style = style, .floats = floats, .build_info = {}}));
          CHECK(ours == by_hand);
          // Not one structure that the hand-written program does not have.
          CHECK(graphs.size() == known);
        }
      }
    }
  }
}

TEST_CASE("the comparison tells one changed op or constant") {
  const StoriesConfig config = {.dim = 64, .hidden = 160, .heads = 2, .seq = 32};
  MilGraphs graphs;
  const int by_hand = graphs.read(hand_ffn_bwd(config));
  std::string text = emitted(kKernels[2], config, {});
  const std::size_t at = text.find("= sub(");
  REQUIRE(at != std::string::npos);
  text.replace(at, 6, "= add(");
  CHECK(graphs.read(text) != by_hand);
}

TEST_CASE("a configuration that breaks a rule is told which") {
  struct Case {
    StoriesConfig config;
    const char* message;
  };
  const Case cases[] = {
      {{.heads = 7}, "heads is 7, which does not divide dim, 768"},
      {{.heads = 0}, "heads is 0 but has to be 1 to 1048576"},
      {{.dim = -768}, "dim is -768 but has to be 1 to 1048576"},
      {{.hidden = 0}, "hidden is 0 but has to be 1 to 1048576"},
      {{.seq = std::int64_t{1} << 40}, "seq is 1099511627776 but has to be 1 to 1048576"},
      {{.eps = 0}, "eps is 0 but has to be above 0"},
      {{.eps = std::nan("")}, "eps is nan but has to be above 0"},
  };
  for (const Case& c : cases) {
    for (const Pair& kernel : kKernels) {
      Kernel k(kernel.name);
      kernel.build(k, c.config);
      REQUIRE(k.diagnostics().all().size() == 1);
      CHECK(k.diagnostics().all().front().id == "kernel.config");
      CHECK(k.diagnostics().all().front().message == std::string(kernel.name) + ": " + c.message);
    }
  }
}

TEST_CASE("the set is registered with its configurations") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo* set = registry.find_set("stories");
  REQUIRE(set != nullptr);
  CHECK(set->kernels.size() == 6);
  REQUIRE(set->find_config("small") != nullptr);
  CHECK(set->describe(set->find_config("small")->config) ==
        "dim=64 hidden=160 heads=2 seq=32 eps=1e-05");
  CHECK(set->describe(set->configs.front().config) ==
        "dim=768 hidden=2048 heads=12 seq=256 eps=1e-05");
  const KernelSetInfo* found = nullptr;
  CHECK(registry.find("stories/ffn_bwd", found) != nullptr);
  CHECK(registry.find("other/ffn_bwd", found) == nullptr);
}
