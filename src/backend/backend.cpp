#include "milgen/backend.h"

#include <fmt/format.h>

#include <new>

#include "mil/weight_path.h"
#include "milgen/emit.h"
#include "milgen/layout.h"
#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/program.h"
#include "milgen/weights.h"
#include "support/machine.h"
#include "support/rule.h"

namespace milgen {

Executable::~Executable() = default;
Backend::~Backend() = default;

namespace {

/// One weight file of a program as bytes.
bool make_weight_file(const Program& program, const PlannedFile& file, WeightSource& source,
                      std::vector<std::byte>& bytes, Diagnostics& diagnostics) {
  std::vector<WeightPayload> payloads;
  std::vector<std::vector<std::byte>> values(file.payloads.size());
  for (std::size_t p = 0; p < file.payloads.size(); ++p) {
    const PlannedPayload& payload = file.payloads[p];
    values[p].resize(payload.size_bytes);
    MemorySink sink(values[p]);
    if (!read_weight(program, payload.index, source, sink, diagnostics)) return false;
    payloads.push_back({payload.weight.dtype, values[p], payload.padding_bits});
  }
  bytes = weight_file_bytes(payloads);
  return true;
}

}  // namespace

bool weight_files(const Program& program, WeightSource& source, std::vector<WeightFileBytes>& files,
                  Diagnostics& diagnostics) {
  WeightLayout layout;
  if (!layout.plan({&program, 1}, {}, diagnostics)) return false;
  const std::uint64_t most = machine_memory_bytes();
  for (const PlannedFile& file : layout.files()) {
    const auto refuse = [&] {
      diagnostics.error(rule<"memory.limit">.id(),
                        fmt::format("'{}' takes {} bytes, and the machine has {}", file.path,
                                    file.size_bytes, most));
      return false;
    };
    if (file.size_bytes > most) return refuse();
    auto bytes = std::make_shared<std::vector<std::byte>>();
    try {
      if (!make_weight_file(program, file, source, *bytes, diagnostics)) return false;
    } catch (const std::bad_alloc&) {
      return refuse();
    }
    files.push_back({std::string(kModelPath) + file.path, std::move(bytes)});
  }
  return true;
}

std::unique_ptr<Executable> Backend::compile(const Program& program, WeightSource& source,
                                             const CompileOptions& options,
                                             Diagnostics& diagnostics) const {
  if (!program) {
    diagnostics.error(rule<"program.none">.id(), "the program had errors and is none");
    return nullptr;
  }
  CompileOptions with_weights = options;
  if (!weight_files(program, source, with_weights.weights, diagnostics)) return nullptr;
  const std::string text = print_mil(program);
  const Module module =
      parse_mil(text, diagnostics, {.file = std::string(program.name()) + ".mil"});
  return module ? compile(module, with_weights, diagnostics) : nullptr;
}

}  // namespace milgen
