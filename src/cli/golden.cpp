#include "cli/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "cli/parse_text.h"
#include "cli/text_diff.h"
#include "cli/weight_options.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kFirstLine = "# milgen weight listing 1";
constexpr std::string_view kShared = "shared";
constexpr std::string_view kColumns = "name\tpath\tdtype\tshape\toffset\tbytes\tsha256";

std::vector<std::string_view> split_tabs(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t tab = line.find('\t');
    cells.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

/// "per-weight", "shared" or, where the file has a name of its own, "shared qkv.bin".
std::string layout_text(const LayoutOptions& layout) {
  if (layout.files != WeightFiles::shared) return "per-weight";
  return layout.shared_name == LayoutOptions().shared_name
             ? std::string(kShared)
             : fmt::format("{} {}", kShared, layout.shared_name);
}

bool parse_layout(std::string_view text, LayoutOptions& layout) {
  if (text == "per-weight") {
    layout.files = WeightFiles::per_weight;
    return true;
  }
  if (!text.starts_with(kShared)) return false;
  layout.files = WeightFiles::shared;
  text.remove_prefix(kShared.size());
  if (text.empty()) return true;
  if (text.front() != ' ') return false;
  text.remove_prefix(1);
  layout.shared_name = text;
  // It becomes a file's name, and a listing is a file that anyone may have written.
  return !text.empty() && text.find('/') == std::string_view::npos && text != "." && text != "..";
}

/// Takes the mode off the end of what follows the kernel in a file's name: "small.param".
WeightsAs take_mode(std::string& config) {
  WeightsAs as = WeightsAs::constant;
  const std::size_t dot = config.rfind('.');
  if (dot == std::string::npos || !weights_as_from_name(config.substr(dot + 1), as) ||
      as == WeightsAs::constant) {
    return WeightsAs::constant;
  }
  config.resize(dot);
  return as;
}

/// Those that are golden-tested, constants first.
std::vector<WeightsAs> modes_of(const KernelSetInfo& set) {
  std::vector<WeightsAs> out = {WeightsAs::constant};
  for (const WeightsAs as : set.weight_modes) {
    if (std::ranges::find(out, as) == out.end()) out.push_back(as);
  }
  return out;
}

}  // namespace

std::string GoldenKernel::id() const {
  return has_plan() ? fmt::format("{}.{}.{}", kernel, config, weights_as_name(weights_as))
                    : fmt::format("{}.{}", kernel, config);
}

std::string GoldenKernel::where() const {
  return has_plan() ? fmt::format("{}, weights as {}", config, weights_as_name(weights_as))
                    : config;
}

std::string listing_text(const Listing& listing) {
  const ListingHeader& header = listing.header;
  std::string out = fmt::format("{}\n# kernel {}/{}\n# config {}\n# params", kFirstLine, header.set,
                                header.kernel, header.config);
  for (const auto& [name, value] : header.params) out += fmt::format(" {}={}", name, value);
  out += fmt::format("\n# canonical {}\n# seed {}\n", header.canonical, header.seed);
  if (header.weights_as != WeightsAs::constant) {
    out += fmt::format("# weights-as {}\n", weights_as_name(header.weights_as));
  }
  out += fmt::format("# style {}\n# floats {}\n# weight-file {}\n",
                     header.print.style == TextStyle::apple ? "apple" : "compact",
                     header.print.floats == FloatStyle::hex ? "hex" : "decimal",
                     layout_text(header.layout));
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
      if (read_header_line(key, value, header, good)) {
        // Which kernel it is.
      } else if (key == "canonical") {
        good = parse_number(value, header.canonical);
      } else if (key == "seed") {
        good = parse_number(value, header.seed);
      } else if (key == "weights-as") {
        good = weights_as_from_name(value, header.weights_as);
      } else if (key == "style") {
        good = value == "apple" || value == "compact";
        header.print.style = value == "compact" ? TextStyle::compact : TextStyle::apple;
      } else if (key == "floats") {
        good = value == "hex" || value == "decimal";
        header.print.floats = value == "decimal" ? FloatStyle::decimal : FloatStyle::hex;
      } else if (key == "weight-file") {
        good = parse_layout(value, header.layout);
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
  header.weights_as = golden.weights_as;
  header.layout = layout_of(*golden.entry);
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
        for (const WeightsAs as : modes_of(set)) {
          out.push_back({.set = set.name,
                         .kernel = kernel.name,
                         .config = config.name,
                         .weights_as = as,
                         .folder = fmt::format("{}/kernels/{}", golden_dir, set.name),
                         .set_info = &set,
                         .entry = &kernel,
                         .named = &config});
        }
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
      if (path.extension() != ".mil" && path.extension() != ".weights" &&
          path.extension() != ".plan") {
        continue;
      }
      const std::string stem = path.stem().string();
      const auto same = [&](const GoldenKernel& other) {
        return other.set == set_name && other.id() == stem;
      };
      if (const auto known = std::ranges::find_if(out, same); known != out.end()) {
        known->on_disk = true;
        continue;
      }
      const std::size_t dot = stem.find('.');
      const std::string kernel = stem.substr(0, dot);
      std::string config = dot == std::string::npos ? "" : stem.substr(dot + 1);
      const WeightsAs as = take_mode(config);
      const KernelSetInfo* set_info = context.registry.find_set(set_name);
      extra.push_back({.set = set_name,
                       .kernel = kernel,
                       .config = config,
                       .weights_as = as,
                       .folder = fmt::format("{}/kernels/{}", golden_dir, set_name),
                       .on_disk = true,
                       .set_info = set_info,
                       .entry = set_info != nullptr ? set_info->find(kernel) : nullptr,
                       .named = set_info != nullptr ? set_info->find_config(config) : nullptr});
    }
  }
  // A folder's order is the file system's.
  const auto key = [](const GoldenKernel& golden) {
    return std::tie(golden.set, golden.kernel, golden.config, golden.weights_as);
  };
  std::ranges::sort(extra, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  // std::ranges::unique gives a subrange, which clang 14 cannot compile with libstdc++ 12.
  extra.erase(std::unique(extra.begin(), extra.end(),
                          [&](const auto& a, const auto& b) { return key(a) == key(b); }),
              extra.end());
  out.insert(out.end(), extra.begin(), extra.end());
  return out;
}

bool build_from_listing(const Context& context, const ListingHeader& header,
                        const std::string& path, Program& program, Diagnostics& diagnostics) {
  if (!build_from_header(context, header, path, program, diagnostics)) return false;
  if (header.weights_as != WeightsAs::constant) {
    program = with_weights_as(program, {.all = header.weights_as}, diagnostics);
  }
  return static_cast<bool>(program);
}

bool make_golden(const Context& context, const ListingHeader& header, const std::string& path,
                 SeededDigests& digests, GoldenContent& content, Diagnostics& diagnostics) {
  Program program;
  if (!build_from_listing(context, header, path, program, diagnostics)) return false;
  const std::span<const Program> programs(&program, 1);
  WeightLayout layout;
  if (!layout.plan(programs, header.layout, diagnostics)) return false;
  content.text = print_mil(program, layout, 0, header.print);
  const WeightPlan plan = weight_plan(program);
  content.plan = plan.has_weights() ? plan_text(plan) : std::string();
  content.listing = {.header = header, .rows = {}};
  content.listing.header.canonical = kCanonicalVersion;
  const std::unique_ptr<WeightSource> source = seeded_weights(header.seed);
  return list_weights(programs, layout, *source, diagnostics, content.listing.rows,
                      &digests[header.seed]);
}

}  // namespace milgen::cli
