// Whether mode exact gives the same bits everywhere. Runs the built-in kernels, every case of
// golden/numeric/ops and the programs of exact_bits_programs.h, and hashes what comes out.
//
//     exact_bits [--small]                         what the golden file holds, on stdout
//     exact_bits [--small] [--once] --check FILE   against the file; exit code 3 at a difference
//
// Checked are every vector unit of the machine with 1, 2 and 4 threads, and ops one by one; with
// --once the best vector unit (which MILGEN_SIMD limits) with two threads alone. --small leaves the
// kernels at Stories110M out.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/eval_cases.h"
#include "cpu/exact_bits_programs.h"
#include "cpu/simd.h"
#include "milgen/milgen.h"
#include "milgen/weights.h"
#include "support/hash.h"

namespace fs = std::filesystem;

namespace {

using namespace milgen;        // NOLINT(google-build-using-namespace): a program of its own
using namespace milgen::test;  // NOLINT(google-build-using-namespace)

constexpr std::string_view kHeader =
    "# What mode exact computes, as hashes of all bits: 16 digits of a SHA-256 for each program.\n"
    "# It shows that nothing changed and that no machine differs, not that it is right: that is\n"
    "# what the other files of this folder are for. Written by exact_bits (golden/README.md).\n";
constexpr std::string_view kLargeConfig = ".stories110m";
constexpr std::size_t kHashBytes = 8;

using Bits = std::map<std::string, std::string, std::less<>>;

/// One way to run that may not show in a result.
struct Variant {
  int threads = 2;
  bool one_by_one = false;  ///< no op runs as part of another
};

[[noreturn]] void fail(std::string_view what, std::string_view why) {
  fmt::print(stderr, "exact_bits: {}: {}\n", what, why);
  std::exit(1);
}

// --- Hashes. ---

void add(Sha256& hash, std::string_view text) {
  hash.update(std::as_bytes(std::span(text)));
  hash.update(std::as_bytes(std::span("", 1)));
}

void add(Sha256& hash, const Array& array) {
  add(hash, dtype_name(array.dtype()));
  add(hash, to_string(array.shape()));
  hash.update(array.bytes());
  for (const std::string& text : array.strings()) add(hash, text);
}

void add(Sha256& hash, std::span<const NamedArray> values) {
  for (const NamedArray& value : values) {
    add(hash, value.name);
    add(hash, value.array);
    add(hash, value.keys);
    for (const Array& element : value.elements) add(hash, element);
  }
}

std::string finish(Sha256& hash) {
  const Sha256::Digest digest = hash.finish();
  return hex(std::span(digest).first(kHashBytes));
}

// --- Runs. ---

class Runner {
 public:
  Runner(const Variant& variant, bool is_small) : variant_(variant), is_small_(is_small) {}

  Bits run() {
    run_kernels();
    run_programs();
    run_cases();
    return std::move(bits_);
  }

 private:
  CompileOptions options() const { return {.threads = variant_.threads}; }

  void call(const std::string& name, const Executable& executable,
            std::span<const NamedArray> inputs, std::vector<NamedArray>& states, Sha256& hash) {
    Diagnostics diagnostics;
    std::vector<NamedArray> outputs;
    RunReport report;
    if (!executable.run(
            inputs, outputs, diagnostics,
            {.states = &states, .report = &report, .report_nonfinite = variant_.one_by_one})) {
      fail(name, render(diagnostics));
    }
    add(hash, outputs);
    add(hash, states);
  }

  void run_program(const std::string& name, const Program& program) {
    Diagnostics diagnostics;
    const std::unique_ptr<WeightSource> source = seeded_weights(0);
    const auto executable = cpu_backend().compile(program, *source, options(), diagnostics);
    if (executable == nullptr) fail(name, render(diagnostics));
    std::vector<NamedArray> inputs;
    for (const TensorSpec& spec : executable->inputs()) {
      inputs.push_back({spec.name, bits_input(spec)});
    }
    Sha256 hash;
    std::vector<NamedArray> states;
    call(name, *executable, inputs, states, hash);
    bits_[name] = finish(hash);
  }

  /// All kernels small, and the Stories kernels at their full size: those of other sets are made of
  /// the same ops, and some would take longer than all the rest.
  bool is_wanted(std::string_view name) const {
    if (name.ends_with(".small")) return true;
    return !is_small_ && name.starts_with("stories/") && name.ends_with(kLargeConfig);
  }

  void run_kernels() {
    Registry registry;
    add_builtin_kernels(registry);
    for (const KernelSetInfo& set : registry.sets()) {
      for (const KernelEntry& kernel : set.kernels) {
        for (const NamedConfig& config : set.configs) {
          const std::string name = fmt::format("{}/{}.{}", set.name, kernel.name, config.name);
          if (!is_wanted(name)) continue;
          Diagnostics diagnostics;
          run_program(name, build_kernel(set, kernel, config.config, diagnostics));
        }
      }
    }
  }

  void run_programs() {
    for (const BitsProgram& one : bits_programs()) run_program(one.name, one.program);
  }

  void run_cases() {
    for (const fs::directory_entry& file :
         fs::directory_iterator(MILGEN_SOURCE_DIR "/golden/numeric/ops")) {
      std::vector<std::string> unreadable;
      const CaseLines lines =
          read_cases(file.path().string(), unreadable, [this](const Json& json) {
            if (json.contains("id")) run_case(json);
          });
      if (!lines.error.empty()) fail(file.path().string(), lines.error);
      if (!unreadable.empty()) fail(file.path().string(), unreadable.front());
    }
  }

  void run_case(const Json& json) {
    const std::string name = json["id"].get<std::string>();
    std::string fault;
    const auto executable = compile_case(cpu_backend(), json, {.whole = true}, options(), fault);
    if (executable == nullptr) fail(name, fault);
    Sha256 hash;
    std::vector<NamedArray> states;
    for (const Json& one : calls_of(json)) call(name, *executable, inputs_of(one), states, hash);
    bits_[name] = finish(hash);
  }

  Variant variant_;
  bool is_small_;
  Bits bits_;
};

// --- The file. ---

void print(const Bits& bits) {
  fmt::print("{}", kHeader);
  for (const auto& [name, hash] : bits) fmt::print("{} {}\n", hash, name);
}

Bits read_golden(const std::string& path, bool is_small) {
  std::ifstream file(path);
  if (!file) fail(path, "it cannot be read");
  Bits out;
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    if (line.starts_with('#') || space == line.npos) continue;
    const std::string name = line.substr(space + 1);
    if (!is_small || !name.ends_with(kLargeConfig)) out.emplace(name, line.substr(0, space));
  }
  return out;
}

/// Prints every difference; false when there is one.
bool compare(const Bits& golden, const Bits& bits, std::string_view variant) {
  int differences = 0;
  const auto differ = [&](std::string_view name, std::string_view what) {
    fmt::print("{}: {}: {}\n", variant, name, what);
    ++differences;
  };
  for (const auto& [name, hash] : bits) {
    const auto expected = golden.find(name);
    if (expected == golden.end()) {
      differ(name, "is not in the golden file");
    } else if (expected->second != hash) {
      differ(name, fmt::format("is {}, not {}", hash, expected->second));
    }
  }
  for (const auto& [name, hash] : golden) {
    if (!bits.contains(name)) differ(name, "is in the golden file alone");
  }
  fmt::print("{}: {} programs, {} differ\n", variant, bits.size(), differences);
  std::fflush(stdout);
  return differences == 0;
}

bool check_variant(const Bits& golden, const Variant& variant, bool is_small) {
  return compare(golden, Runner(variant, is_small).run(),
                 fmt::format("{}, {} threads{}", detail::simd_level(), variant.threads,
                             variant.one_by_one ? ", op by op" : ""));
}

bool check_all(const Bits& golden, bool is_small) {
  bool same = check_variant(golden, {.threads = 1, .one_by_one = true}, is_small);
  for (const std::string_view level : detail::simd_levels()) {
    detail::limit_simd(level);
    for (const int threads : {1, 2, 4}) {
      same = check_variant(golden, {.threads = threads}, is_small) && same;
    }
  }
  return same;
}

}  // namespace

int main(int argc, char** argv) {
  bool is_small = false;
  bool once = false;
  std::string golden_path;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--small") {
      is_small = true;
    } else if (word == "--once") {
      once = true;
    } else if (word == "--check" && i + 1 < argc) {
      golden_path = argv[++i];
    } else {
      fail(word, "the options are --small, --once and --check FILE");
    }
  }
  if (golden_path.empty()) {
    print(Runner({}, is_small).run());
    return 0;
  }
  const Bits golden = read_golden(golden_path, is_small);
  return (once ? check_variant(golden, {}, is_small) : check_all(golden, is_small)) ? 0 : 3;
}
