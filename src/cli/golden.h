// Golden kernels: the exact text of a kernel beside a listing of its weights.
// golden/README.md, "Kernels", describes the files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "cli/golden_header.h"
#include "milgen/emit.h"

namespace milgen::cli {

/// The comment lines of a weight listing: all that is needed to make the kernel again.
struct ListingHeader : GoldenHeader {
  int canonical = kCanonicalVersion;
  std::uint64_t seed = 0;
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

/// A pair of golden files, KERNEL.CONFIG.mil and KERNEL.CONFIG.weights.
struct GoldenKernel {
  std::string set;
  std::string kernel;
  std::string config;
  std::string folder;  ///< "golden/kernels/stories", as the user wrote its start
  bool on_disk = false;
  const KernelSetInfo* set_info = nullptr;
  const KernelEntry* entry = nullptr;
  const NamedConfig* named = nullptr;

  std::string id() const { return kernel + "." + config; }
  std::string mil_path() const { return folder + "/" + id() + ".mil"; }
  std::string weights_path() const { return folder + "/" + id() + ".weights"; }
};

/// Every kernel and configuration that the registry asks a golden for, then those that only
/// GOLDEN_DIR has, in name order.
std::vector<GoldenKernel> golden_kernels(const Context& context, const std::string& golden_dir);

/// What the golden files of a kernel have to be.
struct GoldenContent {
  std::string text;
  Listing listing;
};

/// Makes the kernel from `header`.
bool make_golden(const Context& context, const ListingHeader& header, const std::string& path,
                 GoldenContent& content, Diagnostics& diagnostics);

/// The header that a registered kernel's golden has to have.
ListingHeader header_of(const GoldenKernel& golden);

}  // namespace milgen::cli
