#include "milgen/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <unordered_map>

#include "ir/canonical.h"
#include "mil/weight_path.h"
#include "milgen/weight_modes.h"
#include "milgen/weights.h"
#include "support/files.h"
#include "support/half.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen {
namespace {

std::string joined(const std::string& folder, std::string_view path) {
  if (folder.empty()) return std::string(path);
  return folder.back() == '/' ? folder + std::string(path) : folder + '/' + std::string(path);
}

/// One element of a literal as a weight file has it; sub-byte dtypes are not packed here.
std::size_t element_bytes(const Graph& graph, const Const& constant, DType dtype, std::size_t i,
                          std::array<std::byte, 8>& out) {
  std::uint64_t bits = 0;
  std::size_t size = static_cast<std::size_t>(dtype_bits(dtype)) / 8;
  if (constant.kind == ConstKind::reals) {
    const double value = graph.reals(constant)[i];
    switch (dtype) {
      case DType::fp16:
        bits = half_from_double(value);
        break;
      case DType::bf16:
        bits = bf16_from_double(value);
        break;
      case DType::fp32:
        bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
        break;
      default:
        bits = std::bit_cast<std::uint64_t>(value);
        break;
    }
  } else {
    bits = static_cast<std::uint64_t>(graph.ints(constant)[i]);
  }
  // Little-endian whatever the machine's own order (mil_text_format, section 6).
  for (std::size_t byte = 0; byte < size; ++byte) {
    out[byte] = static_cast<std::byte>((bits >> (8 * byte)) & 0xFF);
  }
  return size;
}

bool write_literal(const Graph& graph, const Const& constant, WeightSink& sink,
                   Diagnostics& diagnostics) {
  const DType dtype = graph.types.dtype(constant.type);
  if (dtype_bits(dtype) < 8) {
    std::vector<std::uint8_t> elements;
    elements.reserve(constant.count);
    for (const std::int64_t value : graph.ints(constant)) {
      elements.push_back(static_cast<std::uint8_t>(value & 0xFF));
    }
    std::uint64_t size_bytes = 0;
    std::uint32_t padding_bits = 0;
    std::size_t bad_index = 0;
    payload_bytes(dtype, constant.count, size_bytes, padding_bits);
    std::vector<std::byte> packed(size_bytes);
    pack_elements(dtype, elements, packed, bad_index);
    return sink.write(packed, diagnostics);
  }
  constexpr std::size_t kChunkElements = 4096;
  std::vector<std::byte> chunk;
  chunk.reserve(kChunkElements * 8);
  for (std::size_t i = 0; i < constant.count; ++i) {
    std::array<std::byte, 8> bytes{};
    const std::size_t size = element_bytes(graph, constant, dtype, i, bytes);
    chunk.insert(chunk.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    if (chunk.size() >= kChunkElements * size || i + 1 == constant.count) {
      if (!sink.write(chunk, diagnostics)) return false;
      chunk.clear();
    }
  }
  return true;
}

/// Tells how far the weights are.
class ProgressReport {
 public:
  ProgressReport(Progress progress, void* context, const WeightLayout& layout)
      : progress_(progress), context_(context) {
    for (const PlannedFile& file : layout.files()) {
      for (const PlannedPayload& payload : file.payloads) total_ += payload.size_bytes;
    }
  }
  void begin(std::string_view what) {
    if (progress_ != nullptr) progress_(context_, what, done_, total_);
  }
  void done(std::string_view what, std::uint64_t bytes) {
    done_ += bytes;
    begin(what);
  }

 private:
  Progress progress_;
  void* context_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

/// The digests of all weights of all programs, in order. Weights that programs share by name are
/// read once.
bool digest_weights(std::span<const Program> programs, WeightSource& source,
                    Diagnostics& diagnostics, std::vector<std::string>& digests) {
  std::unordered_map<std::string, std::string> by_name;
  bool ok = true;
  for (const Program& program : programs) {
    const std::vector<WeightInfo> weights = program.weights();
    for (std::size_t w = 0; w < weights.size(); ++w) {
      const bool shared = !weights[w].derived_name && !weights[w].own_values;
      if (shared) {
        if (const auto found = by_name.find(weights[w].name); found != by_name.end()) {
          digests.push_back(found->second);
          continue;
        }
      }
      HashSink sink;
      ok = read_weight(program, w, source, sink, diagnostics) && ok;
      digests.push_back(sink.finish());
      if (shared) by_name.emplace(weights[w].name, digests.back());
    }
  }
  return ok;
}

bool write_weight_file(std::span<const Program> programs, const PlannedFile& file,
                       const std::string& folder, WeightSource& source, Diagnostics& diagnostics,
                       ProgressReport& progress) {
  std::vector<WeightPayloadSize> sizes;
  for (const PlannedPayload& payload : file.payloads) {
    sizes.push_back({payload.weight.dtype, payload.size_bytes, payload.padding_bits});
  }
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  WeightFileWriter writer;
  if (!plan_weight_records(sizes, records, file_bytes) ||
      !writer.open(joined(folder, file.path), std::move(records), diagnostics)) {
    return false;
  }
  for (const PlannedPayload& payload : file.payloads) {
    progress.begin(payload.weight.name);
    if (!writer.begin_payload(diagnostics) ||
        !read_weight(programs[payload.program], payload.index, source, writer, diagnostics)) {
      return false;
    }
    progress.done(payload.weight.name, payload.size_bytes);
  }
  return writer.commit(diagnostics);
}

/// Whether each program's text has a file of its own, in the folder itself.
bool check_program_names(std::span<const Program> programs, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t p = 0; p < programs.size(); ++p) {
    const std::string_view name = programs[p].name();
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos) {
      diagnostics.error(
          rule<"program.name">.id(),
          fmt::format("program {} of {} is called '{}', which cannot be the name of a file", p + 1,
                      programs.size(), name));
      continue;
    }
    const auto [at, is_new] = seen.try_emplace(lower_case(name), p);
    if (is_new) continue;
    const std::string_view first = programs[at->second].name();
    diagnostics.error(
        rule<"program.duplicate">.id(),
        name == first
            ? fmt::format("programs {} and {} of {} are both called '{}'", at->second + 1, p + 1,
                          programs.size(), name)
            : fmt::format("programs '{}' and '{}' have texts whose names differ only in case",
                          first, name));
  }
  return diagnostics.errors() == errors_before;
}

bool write_text_file(const std::string& path, std::string_view text, Diagnostics& diagnostics) {
  AtomicFile file;
  return file.open(path, diagnostics) && file.write(text, diagnostics) && file.commit(diagnostics);
}

bool digest_payload(const Program& program, const PlannedPayload& payload, WeightSource& source,
                    WeightDigests* known, std::string& digest, Diagnostics& diagnostics) {
  const WeightInfo& weight = payload.weight;
  // What a program says itself is no source's, and depends on the program.
  if (weight.own_values) known = nullptr;
  const std::string key = fmt::format("{} {} {} {}", dtype_name(weight.dtype),
                                      to_string(weight.shape), fill_name(weight.fill), weight.name);
  if (known != nullptr && known->contains(key)) {
    digest = known->at(key);
    return true;
  }
  HashSink sink;
  const bool ok = read_weight(program, payload.index, source, sink, diagnostics);
  digest = sink.finish();
  if (ok && known != nullptr) known->emplace(key, digest);
  return ok;
}

/// Takes away the plan that an earlier emit() left, which would contradict the text. Another file
/// of that name stays.
void remove_old_plan(const std::string& path) {
  constexpr std::string_view kPlan = "# milgen weight plan ";
  std::string start(kPlan.size(), ' ');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(start.data(), static_cast<std::streamsize>(start.size())) || start != kPlan)
    return;
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

/// The plan of a program whose weights are inputs, in front of its text.
bool write_plan(const Program& program, const std::string& folder, Diagnostics& diagnostics,
                std::vector<EmittedFile>* written) {
  const WeightPlan plan = weight_plan(program);
  const std::string name = std::string(program.name()) + ".plan";
  if (!plan.has_weights()) {
    remove_old_plan(joined(folder, name));
    return true;
  }
  const std::string text = plan_text(plan);
  if (!write_text_file(joined(folder, name), text, diagnostics)) return false;
  if (written != nullptr) written->push_back({name, text.size()});
  return true;
}

}  // namespace

bool read_weight(const Program& program, std::size_t index, WeightSource& source, WeightSink& sink,
                 Diagnostics& diagnostics) {
  const ProgramData& data = program.data();
  const ValueId value = data.canonical.weights[index];
  const Graph& graph = *data.graph;
  const Const& constant = *graph.constant_of(value);
  const TypeView type = graph.types.view(constant.type);
  const WeightRequest request{data.canonical.names[value], type.dtype, Shape(type.shape),
                              constant.fill};
  switch (constant.kind) {
    case ConstKind::weight:
      return source.read(request, sink, diagnostics);
    case ConstKind::fill:
      // The kernel's own formula: no seed of the caller's changes it.
      return fill_weight(request, 0, sink, diagnostics);
    default:
      return write_literal(graph, constant, sink, diagnostics);
  }
}

bool check_source(std::span<const Program> programs, const WeightSource& source,
                  Diagnostics& diagnostics) {
  if (!check_programs(programs, diagnostics)) return false;
  std::vector<std::vector<WeightInfo>> weights;  // requests view the names in here
  std::vector<WeightPlan> plans;                 // and these
  std::vector<WeightRequest> requests;
  std::set<std::string_view> seen;
  std::vector<std::string_view> own;
  weights.reserve(programs.size());
  plans.reserve(programs.size());
  for (const Program& program : programs) {
    weights.push_back(program.weights());
    for (const WeightInfo& weight : weights.back()) {
      if (weight.own_values) {
        own.push_back(weight.name);
      } else if (seen.insert(weight.name).second) {
        requests.push_back({weight.name, weight.dtype, weight.shape, weight.fill});
      }
    }
    plans.push_back(weight_plan(program));
    for (const PlannedInput& input : plans.back().inputs) {
      for (const PlannedPart& part : input.parts) {
        if (part.is_weight) own.push_back(part.name);
      }
    }
  }
  return check_weights_of(source, requests, diagnostics, own);
}

bool emit(std::span<const Program> programs, const std::string& folder, WeightSource& source,
          const EmitOptions& options, Diagnostics& diagnostics, std::vector<EmittedFile>* written,
          Progress progress, void* context) {
  if (!check_programs(programs, diagnostics) || !check_program_names(programs, diagnostics)) {
    return false;
  }
  if (options.write_weights && !check_source(programs, source, diagnostics)) return false;

  std::vector<std::string> digests;
  if ((options.merge_identical || options.check_values_first) && options.write_weights) {
    const std::size_t errors_before = diagnostics.errors();
    Diagnostics first_pass;
    if (!digest_weights(programs, source, first_pass, digests)) {
      diagnostics.append(first_pass);
      return diagnostics.errors() == errors_before;
    }
    // Warnings come again when the values are read to be written.
  }
  WeightLayout layout;
  if (!layout.plan(programs, options.layout, diagnostics,
                   options.merge_identical ? std::span<const std::string>(digests)
                                           : std::span<const std::string>())) {
    return false;
  }
  std::vector<std::string> texts;
  if (options.write_text) {
    for (std::size_t p = 0; p < programs.size(); ++p) {
      texts.push_back(print_mil(programs[p], layout, p, options.print));
    }
  }

  const bool any_weights = options.write_weights && !layout.files().empty();
  if (!make_folders(any_weights ? joined(folder, "weights") : folder, diagnostics)) return false;
  if (any_weights) {
    ProgressReport report(progress, context, layout);
    for (const PlannedFile& file : layout.files()) {
      if (!write_weight_file(programs, file, folder, source, diagnostics, report)) return false;
      if (written != nullptr) written->push_back({file.path, file.size_bytes});
    }
  }
  for (std::size_t p = 0; p < texts.size(); ++p) {
    const std::string name = std::string(programs[p].name()) + ".mil";
    if (!write_plan(programs[p], folder, diagnostics, written) ||
        !write_text_file(joined(folder, name), texts[p], diagnostics)) {
      return false;
    }
    if (written != nullptr) written->push_back({name, texts[p].size()});
  }
  return true;
}

bool list_weights(std::span<const Program> programs, const WeightLayout& layout,
                  WeightSource& source, Diagnostics& diagnostics,
                  std::vector<WeightListingRow>& rows, WeightDigests* digests) {
  bool ok = true;
  for (const PlannedFile& file : layout.files()) {
    for (const PlannedPayload& payload : file.payloads) {
      std::string digest;
      ok = digest_payload(programs[payload.program], payload, source, digests, digest,
                          diagnostics) &&
           ok;
      rows.push_back({payload.weight.name, payload.weight.dtype, payload.weight.shape, file.path,
                      payload.record_offset, payload.size_bytes, std::move(digest)});
    }
  }
  return ok;
}

std::vector<WeightReference> weight_references(std::span<const Program> programs,
                                               const WeightLayout& layout) {
  std::vector<WeightReference> out;
  for (std::size_t p = 0; p < programs.size(); ++p) {
    const std::vector<WeightInfo> weights = programs[p].weights();
    for (std::size_t w = 0; w < weights.size(); ++w) {
      out.push_back({weights[w].name, std::string(layout.blob_path(p, w)), layout.blob_offset(p, w),
                     weights[w].dtype, weights[w].shape});
    }
  }
  return out;
}

}  // namespace milgen
