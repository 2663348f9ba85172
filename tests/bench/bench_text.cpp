// Reading, printing and judging MIL text, beside memcpy and a bare scan of its tokens: real files
// where there are some, and generated text of 1 kB to 100 MB. All take turns in one run. Times are
// of the processor, not of the clock.
//
//     bench_text [--quick] [FILE.mil ...]
//
// Without files: those of the folder MILGEN_CORPUS, or ../shared/corpus beside the sources.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bench.h"
#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/verify.h"

namespace {

using namespace milgen;
namespace fs = std::filesystem;

/// Bytes of a word or number.
constexpr std::array<bool, 256> kInWord = [] {
  std::array<bool, 256> in{};
  for (std::size_t c = '0'; c <= '9'; ++c) in[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) in[c] = in[c - 'a' + 'A'] = true;
  in['_'] = in['@'] = in['.'] = in['+'] = in['-'] = true;
  return in;
}();

/// Where each token begins and ends, and nothing about what it is: what any reader has to do.
std::size_t count_tokens(std::string_view text) {
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < text.size(); ++tokens) {
    const char c = text[i++];
    if (kInWord[static_cast<unsigned char>(c)]) {
      while (i < text.size() && kInWord[static_cast<unsigned char>(text[i])]) ++i;
    } else if (c == '"') {
      while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
      ++i;
    } else if (c == ' ' || c == '\n') {
      --tokens;
    }
  }
  return tokens;
}

/// A program of convolutions, activations and constants as a converter writes them.
std::string generated(std::size_t bytes) {
  std::string text =
      "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-component-MIL\", "
      "\"3520.4.1\"}})]\n{\n    func main<ios17>(tensor<fp16, [1, 64, 1, 32]> x_0) {\n";
  std::size_t layer = 0;
  do {
    const std::string n = std::to_string(layer++);
    const std::string next = std::to_string(layer);
    text += "            string pad_type_" + n + " = const()[name = string(\"pad_type_" + n +
            "\"), val = string(\"valid\")];\n            tensor<int32, [2]> strides_" + n +
            " = const()[name = string(\"strides_" + n +
            "\"), val = tensor<int32, [2]>([1, 1])];\n            tensor<int32, [4]> pad_" + n +
            " = const()[name = string(\"pad_" + n +
            "\"), val = tensor<int32, [4]>([0, 0, 0, 0])];\n            tensor<int32, [2]> "
            "dilations_" +
            n + " = const()[name = string(\"dilations_" + n +
            "\"), val = tensor<int32, [2]>([1, 1])];\n            int32 groups_" + n +
            " = const()[name = string(\"groups_" + n +
            "\"), val = int32(1)];\n            tensor<fp16, [64, 64, 1, 1]> w_" + n +
            " = const()[name = string(\"w_" + n +
            "\"), val = tensor<fp16, [64, 64, 1, 1]>(BLOBFILE(path = "
            "string(\"@model_path/weights/weight.bin\"), offset = uint64(" +
            std::to_string(64 * (1 + layer * 129)) +
            ")))];\n            tensor<fp16, [1, 64, 1, 1]> b_" + n +
            " = const()[name = string(\"b_" + n + "\"), val = tensor<fp16, [1, 64, 1, 1]>([[";
    for (int i = 0; i < 64; ++i) text += i == 0 ? "[[0x1.5p-3]]" : ", [[-0x1.234p+1]]";
    text += "]])];\n            tensor<fp16, [1, 64, 1, 32]> c_" + n +
            " = conv(dilations = dilations_" + n + ", groups = groups_" + n + ", pad = pad_" + n +
            ", pad_type = pad_type_" + n + ", strides = strides_" + n + ", weight = w_" + n +
            ", x = x_" + n + ")[name = string(\"c_" + n +
            "\")];\n            tensor<fp16, [1, 64, 1, 32]> a_" + n + " = add(x = c_" + n +
            ", y = b_" + n + ")[name = string(\"a_" + n +
            "\")];\n            tensor<fp16, [1, 64, 1, 32]> x_" + next + " = relu(x = a_" + n +
            ")[name = string(\"x_" + next + "\")];\n";
  } while (text.size() < bytes);
  return text + "        } -> (x_" + std::to_string(layer) + ");\n}";
}

struct Row {
  std::string name;
  std::vector<std::string> texts;
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Row real_files(int argc, char** argv) {
  Row row{"real files", {}};
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] != '-') row.texts.push_back(read(argv[i]));
  }
  if (!row.texts.empty()) return row;
  const char* named = std::getenv("MILGEN_CORPUS");
  std::error_code code;
  for (fs::directory_iterator file(named != nullptr ? named : "../shared/corpus", code), end;
       !code && file != end; file.increment(code)) {
    if (file->path().extension() == ".mil") row.texts.push_back(read(file->path()));
  }
  return row;
}

/// Of this thread alone: what else the machine does takes time, but not this.
template <class Run>
double cpu_seconds(const Run& run) {
  const auto now = [] {
    timespec at{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) * 1e-9;
  };
  const double start = now();
  run();
  return now() - start;
}

struct Work {
  const char* name;
  std::function<void(std::size_t)> run;  // on the text with this index
};

/// All works on a row's texts, taking turns; MB/s of each.
void measure(const Row& row, int rounds, std::size_t least_bytes) {
  std::size_t bytes = 0;
  std::size_t longest = 0;
  std::vector<Module> modules;
  for (const std::string& text : row.texts) {
    bytes += text.size();
    longest = std::max(longest, text.size());
    Diagnostics diagnostics;
    modules.push_back(parse_mil(text, diagnostics));
    if (!modules.back() || print_mil(modules.back()) != text) {
      std::fprintf(stderr, "%s: a text does not read back as it was\n", row.name.c_str());
      std::exit(1);
    }
  }
  std::string copy(longest, '\0');
  const std::vector<Work> works = {
      {"memcpy",
       [&](std::size_t i) {
         std::memcpy(copy.data(), row.texts[i].data(), row.texts[i].size());
         bench::keep(copy.data());
       }},
      {"tokens",
       [&](std::size_t i) {
         const std::size_t tokens = count_tokens(row.texts[i]);
         bench::keep(&tokens);
       }},
      {"parse",
       [&](std::size_t i) {
         Diagnostics diagnostics;
         const Module module = parse_mil(row.texts[i], diagnostics);
         bench::keep(&module);
       }},
      {"print",
       [&](std::size_t i) {
         const std::string text = print_mil(modules[i]);
         bench::keep(text.data());
       }},
      {"parse + print",
       [&](std::size_t i) {
         Diagnostics diagnostics;
         const std::string text = print_mil(parse_mil(row.texts[i], diagnostics));
         bench::keep(text.data());
       }},
      {"canonical",
       [&](std::size_t i) {
         const std::string text = print_mil(modules[i], {.canonical = true});
         bench::keep(text.data());
       }},
      {"verify",
       [&](std::size_t i) {
         Diagnostics diagnostics;
         verify_mil(modules[i], {}, diagnostics);
         bench::keep(&diagnostics);
       }},
  };
  const std::size_t repeats =
      std::max<std::size_t>(1, least_bytes / std::max<std::size_t>(bytes, 1));
  std::vector<std::vector<double>> times(works.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t w = 0; w < works.size(); ++w) {
      times[w].push_back(cpu_seconds([&] {
        for (std::size_t r = 0; r < repeats; ++r) {
          for (std::size_t i = 0; i < row.texts.size(); ++i) works[w].run(i);
        }
      }));
    }
  }
  const double total = static_cast<double>(bytes) * static_cast<double>(repeats);
  const double parse_seconds = bench::median(times[2]);
  std::printf("%s: %zu bytes in %zu texts\n", row.name.c_str(), bytes, row.texts.size());
  for (std::size_t w = 0; w < works.size(); ++w) {
    const double seconds = bench::median(times[w]);
    std::printf("  %-14s %9.0f MB/s  %6.2f of parse\n", works[w].name, total / seconds * 1e-6,
                seconds / parse_seconds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const int rounds = quick ? 1 : 11;
  const std::size_t least_bytes = quick ? 1 : 4'000'000;
  if (const Row real = real_files(argc, argv); !real.texts.empty()) {
    measure(real, rounds, least_bytes);
  } else {
    std::printf("real files: skipped, there are none\n");
  }
  for (const std::size_t bytes :
       {1'000u, 10'000u, 100'000u, 1'000'000u, 10'000'000u, 100'000'000u}) {
    if (quick && bytes > 100'000) break;
    measure({"generated", {generated(bytes)}}, bytes >= 10'000'000 ? std::min(rounds, 3) : rounds,
            least_bytes);
  }
  return 0;
}
