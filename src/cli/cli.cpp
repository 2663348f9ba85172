#include "milgen/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "milgen/program.h"
#include "milgen/version.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen {
namespace cli {
namespace {

constexpr OptionSpec kFormat = {
    .name = "--format", .value = "FORMAT", .doc = "text (default) or json", .choices = "text json"};

// --- emit ---

constexpr Example kEmitExamples[] = {
    {"emit sdpa_fwd_taps", "the text of one kernel, on stdout"},
    {"emit --all stories -o out", "six texts and their weight files"},
    {"emit ffn_bwd dim=512 hidden=1376 -o out", "other parameters than the default ones"},
    {"emit qkv_bwd -o out --weights-from layer0.safetensors --map names.txt",
     "real weights, their names mapped"},
};
constexpr std::string_view kEmitUsages[] = {
    "emit KERNEL [NAME=VALUE ...] [options]",
    "emit KERNEL [NAME=VALUE ...] -o DIR [options]",
    "emit --all [SET] [NAME=VALUE ...] -o DIR [options]",
};
constexpr OptionSpec kEmitOptions[] = {
    {.name = "--out",
     .value = "DIR",
     .doc = "write DIR/KERNEL.mil and DIR/weights/NAME.bin; without it, or with '-', the text goes "
            "to stdout and no weight is written",
     .short_name = "-o"},
    {.name = "--all", .value = "", .doc = "every kernel of SET, or of all sets"},
    {.name = "--config",
     .value = "NAME",
     .doc = "start from a named configuration (see 'kernels'); NAME=VALUE then changes it"},
    {.name = "--weights-from",
     .value = "SOURCE",
     .doc = "seed:N for values by formula (default seed:0), FILE.safetensors, FILE.npy, or a "
            "folder of NAME.bin, NAME.raw and NAME.npy, such as one that 'emit -o' wrote"},
    {.name = "--map",
     .value = "FILE",
     .doc = "lines 'NAME = TENSOR' or 'NAME = transpose TENSOR': which tensor of the source a "
            "weight is"},
    {.name = "--weight-file",
     .value = "HOW",
     .doc = "per-weight (default): a file for each weight; shared: one weights/weight.bin",
     .choices = "per-weight shared"},
    {.name = "--merge-identical", .value = "", .doc = "store weights with the same bytes once"},
    {.name = "--no-weights", .value = "", .doc = "write the text alone"},
    {.name = "--style",
     .value = "STYLE",
     .doc = "apple (default): as Apple's compiler lays out text; compact: no space that is not "
            "needed",
     .choices = "apple compact"},
    {.name = "--floats",
     .value = "HOW",
     .doc = "hex (default), or decimal: the shortest that reads back to the same bits",
     .choices = "hex decimal"},
    {.name = "--build-info",
     .value = "KEY=VALUE",
     .doc = "sets an entry of buildInfo; may be repeated",
     .repeatable = true},
    {.name = "--no-build-info", .value = "", .doc = "leaves out milgen's own entries"},
    {.name = "--strict",
     .value = "",
     .doc = "warnings are errors: a weight that overflows or is not a number, a value that nothing "
            "uses; no file is replaced"},
    kFormat,
};
constexpr std::string_view kEmitNotes =
    "Files are written beside their place and renamed, so that a failed run leaves those that were "
    "there. Weights without --weights-from are reproducible: golden/README.md has the formula.\n\n"
    "NAME.bin and NAME.raw are weight files with one record, or raw little-endian values: of the "
    "weight's own dtype or fp32, as the size says. What begins with the header of a weight file is "
    "one. fp16, bf16, fp32 and fp64 are converted; dims of 1 in a shape do not matter.";

// --- check ---

constexpr Example kCheckExamples[] = {
    {"check", "hold everything against ./golden"},
    {"check --artifacts out", "and what was emitted into out"},
    {"check --filter 'ffn_bwd.*'", "one kernel alone"},
    {"check --accept mine/golden", "make or update goldens of your own"},
};
constexpr std::string_view kCheckUsages[] = {"check [GOLDEN_DIR] [options]"};
constexpr OptionSpec kCheckOptions[] = {
    {.name = "--artifacts",
     .value = "DIR",
     .doc = "also hold the texts and weight files in DIR, which 'emit -o DIR' wrote, against the "
            "golden texts and listings"},
    {.name = "--config",
     .value = "NAME",
     .doc = "with --artifacts: the configuration that DIR is of; without it the one whose text is "
            "nearest"},
    {.name = "--no-weights", .value = "", .doc = "with --artifacts: texts alone"},
    {.name = "--filter",
     .value = "GLOB",
     .doc = "only goldens whose name fits: KERNEL.CONFIG, SET/KERNEL.CONFIG, or a transcript's "
            "name or path below GOLDEN_DIR"},
    {.name = "--accept",
     .value = "",
     .doc = "write what is now over what the goldens say; refused where CI is set"},
    kFormat,
};
constexpr std::string_view kCheckNotes =
    "Every registered kernel is emitted again at every named configuration of its set and compared "
    "byte for byte with GOLDEN_DIR/kernels/SET/KERNEL.CONFIG.mil and .weights. Every *.golden is a "
    "transcript, which is run again and compared. golden/README.md describes both. Exit code 3 "
    "says that something differs.";

// --- weights ---

constexpr Example kWeightsExamples[] = {
    {"weights out/weights/wq.bin", "the records of one file"},
    {"weights out", "of every weight file that was emitted there"},
    {"weights out --format json", "for a program"},
};
constexpr std::string_view kWeightsUsages[] = {"weights FILE|DIR|- [options]"};
constexpr OptionSpec kWeightsOptions[] = {kFormat};
constexpr std::string_view kWeightsNotes =
    "Offsets count bytes from the start of the file: 'record' is what BLOBFILE(offset = ...) "
    "means, "
    "'data' is 64 bytes behind it. A weight file has no names and no shapes; they are taken from "
    ".mil files in the same folder or the one above. Every fault of a broken file is reported, and "
    "of "
    "a folder with .mil files also every reference that does not fit the record it names.";

// --- ops ---

constexpr Example kOpsExamples[] = {
    {"ops", "the table, by family"},
    {"ops conv", "one op, with an example"},
    {"ops --format markdown", "the table as a document"},
};
constexpr std::string_view kOpsUsages[] = {"ops [NAME] [options]"};
constexpr OptionSpec kOpsOptions[] = {
    {.name = "--format",
     .value = "FORMAT",
     .doc = "text (default), markdown, json, or header: the C++ functions of all ops",
     .choices = "text markdown json header"},
};

// --- kernels ---

constexpr Example kKernelsExamples[] = {
    {"kernels", "sets, kernels, parameters, configurations"},
    {"kernels ffn_bwd", "the tensors of one kernel"},
    {"kernels ffn_bwd dim=512 hidden=1376", "at other parameters"},
    {"kernels stories --format json", "one set, for a program"},
};
constexpr std::string_view kKernelsUsages[] = {"kernels [SET] [options]",
                                               "kernels KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kKernelsOptions[] = {
    {.name = "--config",
     .value = "NAME",
     .doc = "start from a named configuration; NAME=VALUE then changes it"},
    kFormat,
};

// --- demo ---

constexpr Example kDemoExamples[] = {
    {"demo -o out", "emit, compare, and a table of what there is"},
    {"demo -o out --golden mine/golden", "with goldens from elsewhere"},
};
constexpr std::string_view kDemoUsages[] = {"demo -o DIR [SET] [options]"};
constexpr OptionSpec kDemoOptions[] = {
    {.name = "--out", .value = "DIR", .doc = "where texts and weights go", .short_name = "-o"},
    {.name = "--golden", .value = "DIR", .doc = "the goldens (default golden)"},
    {.name = "--no-times", .value = "", .doc = "leaves out how long it took"},
};
constexpr std::string_view kDemoNotes =
    "Emits every kernel of SET (default: the first one) at its first configuration with weights of "
    "seed 0, then holds text and weights against the goldens.";

// --- explain, help ---

constexpr Example kExplainExamples[] = {
    {"explain conv.channels", "the rule behind one diagnostic"},
    {"explain conv", "all that begin with 'conv.'"},
    {"explain", "all of them"},
};
constexpr std::string_view kExplainUsages[] = {"explain [ID] [options]"};
constexpr OptionSpec kExplainOptions[] = {kFormat};

constexpr Example kHelpExamples[] = {
    {"help", "the overview"},
    {"help emit", "one command"},
};
constexpr std::string_view kHelpUsages[] = {"help [COMMAND]"};

constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

constexpr CommandSpec kCommands[] = {
    {.name = "emit",
     .summary = "write kernels as MIL text and weight files",
     .examples = kEmitExamples,
     .usages = kEmitUsages,
     .options = kEmitOptions,
     .notes = kEmitNotes,
     .max_args = kAnyNumber,
     .run = run_emit},
    {.name = "check",
     .summary = "hold kernels, transcripts and emitted folders against goldens",
     .examples = kCheckExamples,
     .usages = kCheckUsages,
     .options = kCheckOptions,
     .notes = kCheckNotes,
     .max_args = 1,
     .run = run_check},
    {.name = "weights",
     .summary = "list what is in weight files",
     .examples = kWeightsExamples,
     .usages = kWeightsUsages,
     .options = kWeightsOptions,
     .notes = kWeightsNotes,
     .max_args = 1,
     .run = run_weights},
    {.name = "ops",
     .summary = "the ops of MIL: arguments, defaults, examples",
     .examples = kOpsExamples,
     .usages = kOpsUsages,
     .options = kOpsOptions,
     .notes = "",
     .max_args = 1,
     .run = run_ops},
    {.name = "kernels",
     .summary = "what is built in, with parameters and tensors",
     .examples = kKernelsExamples,
     .usages = kKernelsUsages,
     .options = kKernelsOptions,
     .notes = "",
     .max_args = kAnyNumber,
     .run = run_kernels},
    {.name = "demo",
     .summary = "the whole main job in one go, with a table",
     .examples = kDemoExamples,
     .usages = kDemoUsages,
     .options = kDemoOptions,
     .notes = kDemoNotes,
     .max_args = 1,
     .run = run_demo},
    {.name = "explain",
     .summary = "what the id of a diagnostic means",
     .examples = kExplainExamples,
     .usages = kExplainUsages,
     .options = kExplainOptions,
     .notes = "",
     .max_args = 1,
     .run = run_explain},
    {.name = "help",
     .summary = "this overview, or a command's page",
     .examples = kHelpExamples,
     .usages = kHelpUsages,
     .options = {},
     .notes = "",
     .max_args = 1,
     .run = run_help},
};

int dispatch(std::span<const std::string> args, Streams& streams, const Registry& registry) {
  Context context(streams, registry);
  if (args.empty() || args[0] == "--help" || args[0] == "-h") return run_help(context, Args());
  if (args[0] == "--version") {
    streams.out << fmt::format("milgen {}\ncanonical form {}\n", version(), kCanonicalVersion);
    return kExitDone;
  }
  for (const CommandSpec& spec : kCommands) {
    if (spec.name != args[0]) continue;
    Args parsed;
    Diagnostics diagnostics;
    if (!parsed.parse(spec, args.subspan(1), diagnostics)) {
      return context.usage_error(diagnostics, spec.name);
    }
    if (parsed.has("--help")) {
      streams.out << help_page(spec, streams.program);
      return kExitDone;
    }
    return spec.run(context, parsed);
  }
  std::vector<std::string_view> names;
  for (const CommandSpec& spec : kCommands) names.push_back(spec.name);
  Diagnostics diagnostics;
  if (args[0].starts_with('-')) {
    constexpr std::string_view kOptions[] = {"--help", "--version"};
    diagnostics.error(rule<"usage.option">.id(),
                      fmt::format("there is no option {} in front of a command{}", args[0],
                                  did_you_mean(args[0], kOptions)));
  } else {
    names.push_back("--version");
    diagnostics.error(rule<"usage.command">.id(), fmt::format("there is no command '{}'{}", args[0],
                                                              did_you_mean(args[0], names)));
  }
  return context.usage_error(diagnostics, "");
}

}  // namespace

std::span<const CommandSpec> commands() { return kCommands; }

}  // namespace cli

int milc_main(std::span<const std::string> args, Streams& streams, const Registry& registry) {
  // The library itself throws nothing for bad input; what is caught here came from the standard
  // library, or is a mistake in milgen.
  std::string what = "unknown exception";
  try {
    const int code = cli::dispatch(args, streams, registry);
    streams.out.flush();
    if (streams.out.good() || code != kExitDone) return code;
    Diagnostics diagnostics;
    diagnostics.error(rule<"output.write">.id(), "the standard output cannot be written");
    return cli::Context(streams, registry).fail(diagnostics);
  } catch (const std::bad_alloc&) {
    what = "out of memory";
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  try {
    streams.err << streams.program << ": " << what << "\nthis is a bug in milgen\n";
  } catch (...) {
    // Where even that cannot be said the exit code has to do.
  }
  return kExitBug;
}

int milc_main(int argc, char** argv, const Registry& registry) {
  try {
    Streams streams{.in = std::cin, .out = std::cout, .err = std::cerr};
    if (argc > 0 && argv[0] != nullptr) {
      const std::filesystem::path self(argv[0]);
      streams.program = self.filename().string();
      // build/PRESET/milc stands in the source tree, whose goldens are then near.
      std::error_code code;
      const std::filesystem::path golden = self.parent_path() / ".." / ".." / "golden";
      if (self.has_parent_path() && std::filesystem::is_directory(golden / "kernels", code)) {
        streams.other_golden = golden.lexically_normal().string();
      }
    }
    const char* ci = std::getenv("CI");  // NOLINT(concurrency-mt-unsafe): before any thread
    const std::string_view ci_text = ci != nullptr ? ci : "";
    streams.ci = !ci_text.empty() && ci_text != "0" && ci_text != "false";
    streams.err_is_terminal = isatty(STDERR_FILENO) == 1;
    std::ios::sync_with_stdio(false);
    const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
    return milc_main(args, streams, registry);
  } catch (...) {
    return kExitBug;
  }
}

}  // namespace milgen
