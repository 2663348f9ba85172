// Building, checking and printing kernels, against an snprintf template that prints the same bytes;
// and how the cost grows with the size of a graph.
//
//     bench_kernels [--quick]
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "bench/bench.h"
#include "milgen/kernels/stories.h"
#include "milgen/milgen.h"
#include "support/counted_memory.h"

namespace {

using namespace milgen;
using bench::compare;

std::string emitted(const KernelEntry& entry, const KernelConfig& config) {
  Kernel k(entry.name);
  entry.build(k, config.data());
  const Program program = k.finish();
  if (!program) std::abort();
  return print_mil(program);
}

/// One line of a template: a format string and what goes into it.
struct Line {
  std::string format;
  std::array<long long, 16> numbers{};
  double real = 0;
  bool has_real = false;
};

bool in_number(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == 'x' || c == 'p' || c == '.' ||
         c == '+';
}

/// The template that a hand would write: what differs between two configurations becomes %lld, or
/// %a for a float; all else is fixed text. Line by line, as the field appends them.
std::vector<Line> make_template(std::string_view text, std::string_view other) {
  std::vector<Line> lines(1);
  std::size_t numbers = 0;
  std::size_t i = 0;
  std::size_t j = 0;
  const auto number_at = [](std::string_view s, std::size_t at) {
    const bool starts = s[at] >= '0' && s[at] <= '9';
    const bool fresh =
        at == 0 || (!std::isalnum(static_cast<unsigned char>(s[at - 1])) && s[at - 1] != '_');
    std::size_t end = at;
    while (starts && fresh && end < s.size() &&
           (in_number(s[end]) || (s[end] == '-' && s[end - 1] == 'p'))) {
      ++end;
    }
    return s.substr(at, end - at);
  };
  while (i < text.size()) {
    const std::string_view mine = number_at(text, i);
    const std::string_view theirs = number_at(other, j);
    if (!mine.empty() && mine != theirs) {
      Line& line = lines.back();
      if (mine.starts_with("0x")) {
        line.format += "%a";
        line.real = std::strtod(std::string(mine).c_str(), nullptr);
        line.has_real = true;
      } else {
        line.format += "%lld";
        line.numbers[numbers++] = std::strtoll(std::string(mine).c_str(), nullptr, 10);
      }
      i += mine.size();
      j += theirs.size();
      continue;
    }
    if (text[i] != other[j]) std::abort();
    lines.back().format += text[i];
    if (text[i] == '%') lines.back().format += '%';
    if (text[i] == '\n') {
      lines.emplace_back();
      numbers = 0;
    }
    ++i;
    ++j;
  }
  return lines;
}

std::size_t run_template(const std::vector<Line>& lines, char* out, std::size_t size) {
  std::size_t at = 0;
  for (const Line& line : lines) {
    const auto& n = line.numbers;
    // The formats come from make_template() and take no more than is passed here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const int written =
        line.has_real
            ? std::snprintf(out + at, size - at, line.format.c_str(), line.real)
            : std::snprintf(out + at, size - at, line.format.c_str(), n[0], n[1], n[2], n[3], n[4],
                            n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]);
#pragma GCC diagnostic pop
    at += static_cast<std::size_t>(written);
  }
  return at;
}

void stories(bool quick) {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo& set = *registry.find_set("stories");
  std::printf("%-16s %8s %6s %12s %12s %8s %8s\n", "kernel", "bytes", "ops", "milgen us",
              "snprintf us", "ratio", "allocs");
  double ours_total = 0;
  double theirs_total = 0;
  for (const KernelEntry& entry : set.kernels) {
    const KernelConfig& config = set.configs[0].config;
    const std::string text = emitted(entry, config);
    // No two dims of these that differ in the first may be equal in the second, or constants are
    // shared that were not.
    const KernelConfig other(StoriesConfig{.dim = 60, .hidden = 176, .heads = 4, .seq = 48});
    const std::vector<Line> lines = make_template(text, emitted(entry, other));
    std::vector<char> buffer(text.size() + 1);
    if (run_template(lines, buffer.data(), buffer.size()) != text.size() ||
        std::memcmp(buffer.data(), text.data(), text.size()) != 0) {
      std::fprintf(stderr, "the template of %s prints other bytes\n", entry.name.c_str());
      std::exit(1);
    }
    Kernel counted(entry.name);
    entry.build(counted, config.data());
    const std::size_t ops = counted.finish().op_count();
    const std::uint64_t before = test::memory_cost().allocations;
    bench::keep(emitted(entry, config).data());
    const std::uint64_t allocations = test::memory_cost().allocations - before;
    const auto [ours, theirs] = compare(
        quick ? 1 : 31, quick ? 1 : 300, [&] { bench::keep(emitted(entry, config).data()); },
        [&] {
          run_template(lines, buffer.data(), buffer.size());
          bench::keep(buffer.data());
        });
    std::printf("%-16s %8zu %6zu %12.2f %12.2f %8.2f %8llu\n", entry.name.c_str(), text.size(), ops,
                ours * 1e6, theirs * 1e6, ours / theirs,
                static_cast<unsigned long long>(allocations));
    ours_total += ours;
    theirs_total += theirs;
  }
  std::printf("%-16s %8s %6s %12.2f %12.2f %8.2f\n\n", "all six", "", "", ours_total * 1e6,
              theirs_total * 1e6, ours_total / theirs_total);
}

/// A graph of about `ops` printed ops: attention-free layers with convs, constants and concats.
std::string large(std::size_t ops, std::size_t& printed) {
  Kernel k("large");
  auto x = k.input<fp16>("x", {1, 64, 1, 32});
  auto w = k.weight<fp16>("w", {64, 64, 1, 1});
  // Five ops a round, beside the constants that all rounds share.
  for (std::size_t i = 0; i < ops / 5; ++i) {
    auto h = conv(x, w);
    x = x + h * sigmoid(h);
    x = slice_by_size(x, {0, 0, 0, 0}, {1, 64, 1, 32});
  }
  k.output("y", x);
  const Program program = k.finish();
  if (!program) std::abort();
  printed = program.op_count();
  return print_mil(program);
}

void growth(bool quick) {
  std::printf("%10s %12s %12s %14s %14s\n", "ops", "seconds", "ops/s", "allocations", "bytes");
  const std::vector<std::size_t> sizes =
      quick ? std::vector<std::size_t>{1000}
            : std::vector<std::size_t>{1000, 10000, 100000, 1000000};
  for (const std::size_t ops : sizes) {
    std::size_t printed = 0;
    std::size_t bytes = 0;
    std::uint64_t allocations = 0;
    std::vector<double> times;
    for (int round = 0; round < (quick ? 1 : 5); ++round) {
      const std::uint64_t before = test::memory_cost().allocations;
      times.push_back(bench::seconds([&] { bytes = large(ops, printed).size(); }));
      allocations = test::memory_cost().allocations - before;
    }
    const double time = bench::median(times);
    std::printf("%10zu %12.6f %12.0f %14llu %14zu\n", printed, time,
                static_cast<double>(printed) / time, static_cast<unsigned long long>(allocations),
                bytes);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  stories(quick);
  growth(quick);
  return 0;
}
