#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <ostream>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/kernel_args.h"
#include "cli/weight_options.h"
#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

std::string verdict(bool compared, bool same) {
  return !compared ? "none" : same ? "same" : "differs";
}

/// Bytes of a program's weights, those that a kernel itself has included.
std::uint64_t weight_bytes(const Program& program) {
  std::uint64_t total = 0;
  for (const WeightInfo& weight : program.weights()) {
    std::int64_t count = 0;
    std::uint64_t bytes = 0;
    std::uint32_t padding_bits = 0;
    if (element_count(weight.shape, count) &&
        payload_bytes(weight.dtype, static_cast<std::uint64_t>(count), bytes, padding_bits)) {
      total += bytes;
    }
  }
  return total;
}

}  // namespace

int run_demo(Context& context, const Args& args) {
  Diagnostics diagnostics;
  std::string folder(args.value("--out"));
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  KernelRequest request;
  if (folder.empty() || folder == "-") {
    diagnostics.error(rule<"usage.argument">.id(), "a folder to write to is to be named, -o DIR");
  }
  if (!args.positionals().empty()) {
    request.set = find_set(context.registry, args.positionals()[0], diagnostics);
  } else if (!context.registry.sets().empty()) {
    request.set = &context.registry.sets().front();
  } else {
    diagnostics.error(rule<"usage.set">.id(), "no kernel is registered");
  }
  if (diagnostics.has_errors() || !configure(request, "", {}, diagnostics)) {
    return context.usage_error(diagnostics, "demo");
  }
  const bool times = !args.has("--no-times");
  std::error_code code;
  std::string golden_dir(args.value("--golden", "golden"));
  if (!args.has("--golden") && !context.streams.other_golden.empty() &&
      !std::filesystem::is_directory(context.resolve(golden_dir), code)) {
    golden_dir = context.streams.other_golden;
  }

  const std::int64_t start = steady_ms();
  std::vector<Program> programs;
  for (const KernelEntry& kernel : request.set->kernels) {
    Program program = build_kernel(*request.set, kernel, request.config, diagnostics);
    if (program) programs.push_back(std::move(program));
  }
  if (diagnostics.has_errors()) return context.fail(diagnostics);
  const std::int64_t built = steady_ms();

  constexpr std::uint64_t kSeed = 0;
  const std::unique_ptr<WeightSource> source = seeded_weights(kSeed);
  std::vector<EmittedFile> written;
  {
    ProgressLine line(context);
    if (!emit(programs, context.resolve(folder), *source, {}, diagnostics, &written,
              &ProgressLine::show, &line)) {
      return context.fail(diagnostics);
    }
  }
  const std::int64_t emitted = steady_ms();

  std::vector<ArtifactResult> results;
  std::vector<Finding> findings;
  const bool has_golden =
      std::filesystem::is_directory(context.resolve(golden_dir + "/kernels"), code);
  if (!has_golden) {
    diagnostics.error(rule<"golden.folder">.id(),
                      fmt::format("nothing was compared: there is no folder '{}/kernels'; "
                                  "--golden DIR names another",
                                  golden_dir));
  } else if (!check_artifacts(context, folder,
                              {.golden_dir = golden_dir,
                               .config = request.config_name,
                               .filter = request.set->name + "/*"},
                              results, findings, diagnostics)) {
    return context.fail(diagnostics);
  }
  const std::int64_t checked = steady_ms();

  std::map<std::string, std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const EmittedFile& file : written) {
    sizes[file.path] = file.size_bytes;
    total += file.size_bytes;
  }
  std::map<std::string, const ArtifactResult*> by_kernel;
  for (const ArtifactResult& result : results) by_kernel[result.kernel] = &result;

  Table table;
  table.right_align({1, 2, 3, 4});
  table.row(
      {"kernel", "ops", "text bytes", "weights", "weight bytes", "golden text", "golden weights"});
  bool all_same = has_golden;
  for (const Program& program : programs) {
    const std::string name(program.name());
    const auto found = by_kernel.find(name);
    const ArtifactResult* result = found != by_kernel.end() ? found->second : nullptr;
    const bool compared = result != nullptr && !result->config.empty();
    all_same = all_same && compared && result->text_matches && result->weights_match;
    table.row({name, grouped(program.op_count()), grouped(sizes[name + ".mil"]),
               grouped(program.weights().size()), grouped(weight_bytes(program)),
               verdict(compared, compared && result->text_matches),
               verdict(compared, compared && result->weights_match)});
  }
  std::string out;
  for (const Finding& finding : findings) out += finding_text(context, finding);
  out += fmt::format("{} at {} ({}), weights of seed {}\n\n", request.set->name,
                     request.config_name, request.set->describe(request.config), kSeed);
  out += table.text();
  out +=
      fmt::format("\n{}, {} in {}: {}\n", counted(written.size(), "file"), size_text(total), folder,
                  all_same     ? "text and weights are those of the goldens"
                  : has_golden ? "not as the goldens"
                               : "not compared");
  if (times) {
    out += fmt::format("built in {} ms, emitted in {} ms, compared in {} ms\n", built - start,
                       emitted - built, checked - emitted);
  }
  context.streams.out << out;
  context.report(diagnostics);
  if (!has_golden) return kExitFailed;
  return all_same ? kExitDone : kExitDiffers;
}

}  // namespace milgen::cli
