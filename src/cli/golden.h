// Golden kernels: the exact text of a kernel beside a listing of its weights.
// golden/README.md, "Kernels", describes the files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "cli/golden_header.h"
#include "milgen/emit.h"
#include "milgen/weight_modes.h"

namespace milgen::cli {

/// The comment lines of a weight listing: all that is needed to make the kernel again.
struct ListingHeader : GoldenHeader {
  int canonical = kCanonicalVersion;
  std::uint64_t seed = 0;
  WeightsAs weights_as = WeightsAs::constant;
  PrintOptions print;
  LayoutOptions layout;
};

struct Listing {
  ListingHeader header;
  std::vector<WeightListingRow> rows;
};

std::string listing_text(const Listing& listing);
/// Reads a listing; `path` is for messages. Reports `golden.format`.
bool parse_listing(std::string_view text, const std::string& path, Listing& listing,
                   Diagnostics& diagnostics);

/// The golden files KERNEL.CONFIG.mil and KERNEL.CONFIG.weights, or KERNEL.CONFIG.MODE.mil,
/// .weights and .plan where weights are inputs.
struct GoldenKernel {
  std::string set;
  std::string kernel;
  std::string config;
  WeightsAs weights_as = WeightsAs::constant;
  std::string folder;  ///< "golden/kernels/stories", as the user wrote its start
  bool on_disk = false;
  const KernelSetInfo* set_info = nullptr;
  const KernelEntry* entry = nullptr;
  const NamedConfig* named = nullptr;

  bool has_plan() const { return weights_as != WeightsAs::constant; }
  std::string id() const;
  std::string mil_path() const { return folder + "/" + id() + ".mil"; }
  std::string weights_path() const { return folder + "/" + id() + ".weights"; }
  std::string plan_path() const { return folder + "/" + id() + ".plan"; }
  /// "small", "small, weights as param"
  std::string where() const;
};

/// Every kernel, configuration and mode that the registry asks a golden for, then those that only
/// GOLDEN_DIR has, in name order. Whether a mode makes sense for the kernel is not known before it
/// is made.
std::vector<GoldenKernel> golden_kernels(const Context& context, const std::string& golden_dir);

/// SHA-256 of weights by formula, by seed. Each is made once, although kernels, configurations and
/// modes share them: those of a vocabulary have hundreds of megabytes.
using SeededDigests = std::map<std::uint64_t, WeightDigests>;

/// What the golden files of a kernel have to be.
struct GoldenContent {
  std::string text;
  Listing listing;
  /// plan_text(); empty where no weight is an input.
  std::string plan;
};

/// Builds the kernel that `header` describes, in its mode.
bool build_from_listing(const Context& context, const ListingHeader& header,
                        const std::string& path, Program& program, Diagnostics& diagnostics);

/// Makes the kernel from `header`.
bool make_golden(const Context& context, const ListingHeader& header, const std::string& path,
                 SeededDigests& digests, GoldenContent& content, Diagnostics& diagnostics);

/// The header that a registered kernel's golden has to have.
ListingHeader header_of(const GoldenKernel& golden);

}  // namespace milgen::cli
