#include "cli/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <tuple>

#include "cli/text_diff.h"
#include "milgen/weights.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kFirstLine = "# milgen weight listing 1";
constexpr std::string_view kColumns = "name\tpath\tdtype\tshape\toffset\tbytes\tsha256";

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool parse_shape(std::string_view text, Shape& shape) {
  shape.clear();
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const std::size_t comma = text.find(", ");
    std::int64_t dim = 0;
    if (!parse_number(text.substr(0, comma), dim)) return false;
    shape.push_back(dim);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 2);
  }
  return true;
}

std::vector<std::string_view> split_tabs(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t tab = line.find('\t');
    cells.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

}  // namespace

std::string listing_text(const Listing& listing) {
  const ListingHeader& header = listing.header;
  std::string out = fmt::format("{}\n# kernel {}/{}\n# config {}\n# params", kFirstLine, header.set,
                                header.kernel, header.config);
  for (const auto& [name, value] : header.params) out += fmt::format(" {}={}", name, value);
  out += fmt::format("\n# canonical {}\n# seed {}\n# style {}\n# floats {}\n# weight-file {}\n",
                     header.canonical, header.seed,
                     header.print.style == TextStyle::apple ? "apple" : "compact",
                     header.print.floats == FloatStyle::hex ? "hex" : "decimal",
                     header.layout.files == WeightFiles::shared ? "shared" : "per-weight");
  out += kColumns;
  out += '\n';
  for (const WeightListingRow& row : listing.rows) {
    out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", row.name, row.path, dtype_name(row.dtype),
                       to_string(row.shape), row.offset, row.size_bytes, row.sha256);
  }
  return out;
}

bool parse_listing(std::string_view text, const std::string& path, Listing& listing,
                   Diagnostics& diagnostics) {
  listing = {};
  ListingHeader& header = listing.header;
  const std::size_t errors = diagnostics.errors();
  std::uint32_t number = 0;
  const auto wrong = [&](std::string message) {
    diagnostics.error(rule<"golden.format">.id(), std::move(message), Place(path, number, 1));
  };
  bool has_columns = false;
  for (const std::string_view line : split_lines(text)) {
    ++number;
    if (number == 1) {
      if (line != kFirstLine) {
        wrong(fmt::format("the first line is not '{}'", kFirstLine));
        return false;
      }
      continue;
    }
    if (line.starts_with("# ")) {
      const std::string_view rest = line.substr(2);
      const std::string_view key = rest.substr(0, rest.find(' '));
      const std::string_view value =
          key.size() < rest.size() ? rest.substr(key.size() + 1) : std::string_view();
      bool good = true;
      if (key == "kernel") {
        const std::size_t slash = value.find('/');
        good = slash != std::string_view::npos;
        if (good) {
          header.set = value.substr(0, slash);
          header.kernel = value.substr(slash + 1);
        }
      } else if (key == "config") {
        header.config = value;
      } else if (key == "params") {
        for_each_word(value, [&](std::string_view word) {
          const std::size_t equals = word.find('=');
          good = good && equals != std::string_view::npos;
          if (good) header.params.emplace_back(word.substr(0, equals), word.substr(equals + 1));
        });
      } else if (key == "canonical") {
        good = parse_number(value, header.canonical);
      } else if (key == "seed") {
        good = parse_number(value, header.seed);
      } else if (key == "style") {
        good = value == "apple" || value == "compact";
        header.print.style = value == "compact" ? TextStyle::compact : TextStyle::apple;
      } else if (key == "floats") {
        good = value == "hex" || value == "decimal";
        header.print.floats = value == "decimal" ? FloatStyle::decimal : FloatStyle::hex;
      } else if (key == "weight-file") {
        good = value == "per-weight" || value == "shared";
        header.layout.files = value == "shared" ? WeightFiles::shared : WeightFiles::per_weight;
      } else {
        wrong(fmt::format("'{}' is no line of a weight listing", key));
        continue;
      }
      if (!good) wrong(fmt::format("'{}' cannot be '{}'", key, value));
      continue;
    }
    if (!has_columns) {
      has_columns = true;
      if (line != kColumns)
        wrong("the columns are not name, path, dtype, shape, offset, bytes, sha256");
      continue;
    }
    const std::vector<std::string_view> cells = split_tabs(line);
    WeightListingRow row;
    if (cells.size() != 7) {
      wrong(fmt::format("here are {} columns instead of 7", cells.size()));
      continue;
    }
    row.name = cells[0];
    row.path = cells[1];
    row.dtype = dtype_from_name(cells[2]);
    row.sha256 = cells[6];
    if (row.dtype == DType::none || !parse_shape(cells[3], row.shape) ||
        !parse_number(cells[4], row.offset) || !parse_number(cells[5], row.size_bytes)) {
      wrong(fmt::format("the dtype, shape, offset or size of '{}' cannot be read", row.name));
      continue;
    }
    listing.rows.push_back(std::move(row));
  }
  if (diagnostics.errors() == errors && header.kernel.empty()) {
    wrong("no line says which kernel this is");
  }
  return diagnostics.errors() == errors;
}

ListingHeader header_of(const GoldenKernel& golden) {
  ListingHeader header;
  header.set = golden.set;
  header.kernel = golden.kernel;
  header.config = golden.config;
  for (const KernelParam& param : golden.set_info->params) {
    header.params.emplace_back(param.name, golden.named->config.get(param));
  }
  return header;
}

std::vector<GoldenKernel> golden_kernels(const Context& context, const std::string& golden_dir) {
  std::vector<GoldenKernel> out;
  for (const KernelSetInfo& set : context.registry.sets()) {
    for (const NamedConfig& config : set.configs) {
      for (const KernelEntry& kernel : set.kernels) {
        out.push_back({.set = set.name,
                       .kernel = kernel.name,
                       .config = config.name,
                       .folder = fmt::format("{}/kernels/{}", golden_dir, set.name),
                       .set_info = &set,
                       .entry = &kernel,
                       .named = &config});
      }
    }
  }

  namespace fs = std::filesystem;
  std::vector<GoldenKernel> extra;
  std::error_code code;
  const fs::path kernels = context.resolve(golden_dir + "/kernels");
  for (fs::directory_iterator set(kernels, code), end; !code && set != end; set.increment(code)) {
    std::error_code inner;
    const std::string set_name = set->path().filename().string();
    for (fs::directory_iterator file(set->path(), inner); !inner && file != end;
         file.increment(inner)) {
      const fs::path& path = file->path();
      if (path.extension() != ".mil" && path.extension() != ".weights") continue;
      const std::string stem = path.stem().string();
      const std::size_t dot = stem.find('.');
      const std::string kernel = stem.substr(0, dot);
      const std::string config = dot == std::string::npos ? "" : stem.substr(dot + 1);
      const auto same = [&](const GoldenKernel& other) {
        return other.set == set_name && other.kernel == kernel && other.config == config;
      };
      if (const auto known = std::ranges::find_if(out, same); known != out.end()) {
        known->on_disk = true;
        continue;
      }
      const KernelSetInfo* set_info = context.registry.find_set(set_name);
      extra.push_back({.set = set_name,
                       .kernel = kernel,
                       .config = config,
                       .folder = fmt::format("{}/kernels/{}", golden_dir, set_name),
                       .on_disk = true,
                       .set_info = set_info,
                       .entry = set_info != nullptr ? set_info->find(kernel) : nullptr});
    }
  }
  // A folder's order is the file system's.
  const auto key = [](const GoldenKernel& golden) {
    return std::tie(golden.set, golden.kernel, golden.config);
  };
  std::ranges::sort(extra, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  // std::ranges::unique gives a subrange, which clang 14 cannot compile with libstdc++ 12.
  extra.erase(std::unique(extra.begin(), extra.end(),
                          [&](const auto& a, const auto& b) { return key(a) == key(b); }),
              extra.end());
  out.insert(out.end(), extra.begin(), extra.end());
  return out;
}

bool build_from_header(const Context& context, const ListingHeader& header, const std::string& path,
                       Program& program, Diagnostics& diagnostics) {
  const auto refuse = [&](std::string message) {
    diagnostics.error(rule<"golden.kernel">.id(), std::move(message), Place(path));
    return false;
  };
  const KernelSetInfo* set = context.registry.find_set(header.set);
  const KernelEntry* entry = set != nullptr ? set->find(header.kernel) : nullptr;
  if (entry == nullptr) {
    return refuse(fmt::format("no kernel '{}/{}' is registered", header.set, header.kernel));
  }
  const NamedConfig* named = set->find_config(header.config);
  if (named == nullptr && set->configs.empty()) {
    return refuse(fmt::format("set '{}' has no configuration to start from", header.set));
  }
  KernelConfig config = named != nullptr ? named->config : set->configs.front().config;
  for (const auto& [name, value] : header.params) {
    const KernelParam* param = set->find_param(name);
    if (param == nullptr) {
      return refuse(fmt::format("kernels of '{}' have no parameter '{}'", header.set, name));
    }
    if (!config.set(*param, value)) {
      return refuse(fmt::format("parameter '{}' cannot be '{}'", name, value));
    }
  }
  Diagnostics built;
  program = build_kernel(*set, *entry, config, built);
  if (!program) {
    diagnostics.append(built);
    return refuse(fmt::format("kernel '{}' does not build at '{}'", header.kernel, header.config));
  }
  return true;
}

bool make_golden(const Context& context, const ListingHeader& header, const std::string& path,
                 GoldenContent& content, Diagnostics& diagnostics) {
  Program program;
  if (!build_from_header(context, header, path, program, diagnostics)) return false;
  const std::span<const Program> programs(&program, 1);
  WeightLayout layout;
  if (!layout.plan(programs, header.layout, diagnostics)) return false;
  content.text = print_mil(program, layout, 0, header.print);
  content.listing = {.header = header, .rows = {}};
  content.listing.header.canonical = kCanonicalVersion;
  const std::unique_ptr<WeightSource> source = seeded_weights(header.seed);
  return list_weights(programs, layout, *source, diagnostics, content.listing.rows);
}

}  // namespace milgen::cli
