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
#include "cli/weights_as.h"
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
    {"emit ffn_bwd -o out --weights-as=param", "weights as inputs, and the plan of the inputs"},
};
constexpr std::string_view kEmitUsages[] = {
    "emit KERNEL [NAME=VALUE ...] [options]",
    "emit KERNEL [NAME=VALUE ...] -o DIR [options]",
    "emit --all [SET] [NAME=VALUE ...] -o DIR [options]",
};
constexpr OptionSpec kEmitOptions[] = {
    {.name = "--out",
     .value = "DIR",
     .doc = "write DIR/KERNEL.mil, DIR/weights/NAME.bin, and DIR/KERNEL.plan where weights are "
            "inputs; without it, or with '-', the text goes to stdout and no weight is written",
     .short_name = "-o"},
    {.name = "--all", .value = "", .doc = "every kernel of SET, or of all sets"},
    {.name = "--config",
     .value = "NAME",
     .doc = "start from a named configuration (see 'kernels'); NAME=VALUE then changes it"},
    kWeightsAs,
    {.name = "--plan",
     .value = "",
     .doc = "write to stdout, in place of the text, what the host puts where in each input"},
    {.name = "--weights-from",
     .value = "SOURCE",
     .doc = "seed:N for values by formula (default seed:0), FILE.safetensors, FILE.npy, a "
            "folder of NAME.bin, NAME.raw and NAME.npy, such as one that 'emit -o' wrote, or the "
            "FILE.mil or NAME.mlmodelc that the kernel was printed from (print --as=cpp)"},
    {.name = "--map",
     .value = "FILE",
     .doc = "lines 'NAME = TENSOR' or 'NAME = transpose TENSOR': which tensor of the source a "
            "weight is"},
    {.name = "--weight-file",
     .value = "HOW",
     .doc = "per-weight: a file for each weight; shared: one weights/weight.bin; without it as the "
            "kernel says: per-weight, or one weights/KERNEL.bin",
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
    "one. fp16, bf16, fp32 and fp64 are converted; dims of 1 in a shape do not matter.\n\n"
    "With --weights-as=param the weights are inputs beside the activations, all names sorted; with "
    "packed, those whose rows or columns are as many as an input's channels are columns behind "
    "that "
    "input's own, [1, C, 1, S + widths]. Weights that cannot come so stay constants. A 1x1 conv "
    "becomes a matmul, since some chips ignore a conv with weights that come at run time. "
    "KERNEL.plan "
    "is a table of the parts of every input: what a host writes where.";

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
     .doc =
         "only goldens whose name fits: KERNEL.CONFIG or KERNEL.CONFIG.MODE, SET/ and that, or the "
         "name or path below GOLDEN_DIR of a transcript or numeric golden"},
    {.name = "--accept",
     .value = "",
     .doc = "write what is now over what the goldens say; refused where CI is set"},
    kFormat,
};
constexpr std::string_view kCheckNotes =
    "Every registered kernel is emitted again at every named configuration of its set and compared "
    "byte for byte with GOLDEN_DIR/kernels/SET/KERNEL.CONFIG.mil and .weights; where its set asks "
    "for it, also with weights as param and packed, KERNEL.CONFIG.param.mil, .weights and .plan. "
    "Every kernel that has a golden GOLDEN_DIR/numeric/SET/KERNEL.CONFIG.numeric is run in mode "
    "exact and "
    "fast, with its weights in each of these ways, and what it computes compared within the "
    "tolerances there; in mode exact all ways have to give the same bits. --accept leaves these "
    "files as they are, since "
    "their values are found without milgen. Every *.golden is a transcript, which is run again and "
    "compared. golden/README.md describes them all. Exit code 3 says that something differs.";

// --- verify ---

constexpr Example kVerifyExamples[] = {
    {"verify model.mlmodelc", "a compiled model with its weights"},
    {"verify kernel.mil --weights=skip", "a text alone"},
    {"verify kernel.mil --weights w.bin --lenient", "weights of a hand-written tool"},
    {"verify *.mil --strict --allow=value.unused", "warnings count, but for one"},
};
constexpr std::string_view kVerifyUsages[] = {"verify FILE|NAME.mlmodelc|- ... [options]"};
constexpr OptionSpec kVerifyOptions[] = {
    {.name = "--opset",
     .value = "OPSET",
     .doc = "judge every function as one of this opset",
     .choices = "ios15 ios16 ios17 ios18"},
    {.name = "--weights",
     .value = "FILE",
     .doc = "look all weights up in FILE, whatever path the text says; 'skip' looks none up"},
    {.name = "--model-path",
     .value = "DIR",
     .doc = "what @model_path stands for; without it the folder of the text"},
    {.name = "--lenient",
     .value = "",
     .doc = "read weight files that break the format as hand-written tools do"},
    {.name = "--strict", .value = "", .doc = "warnings make the exit code 1 as well"},
    {.name = "--allow",
     .value = "ID",
     .doc = "do not report this diagnostic; may be repeated",
     .repeatable = true},
    kFormat,
};
constexpr std::string_view kVerifyNotes =
    "Reports every syntax error and everything that a compiler would refuse, with line, column and "
    "where the operands come from; then a line for each text on stdout. 'explain ID' says what a "
    "rule is. Warnings are what is legal and probably not meant, and what some loaders refuse. "
    "Exit "
    "code 1 says that a text has an error or could not be read.";

// --- print ---

constexpr Example kPrintExamples[] = {
    {"print model.mlmodelc", "the text of a compiled model, as written"},
    {"print kernel.mil --canonical", "in canonical form: order, numbers, layout"},
    {"print kernel.mil --canonical -o kernel.mil", "the same, in place"},
    {"print *.mil --canonical --check", "for a pre-commit hook: exit code 3 when one would change"},
    {"print model.mil --as=cpp -o model.cpp", "as a program that builds the same graph"},
};
constexpr std::string_view kPrintUsages[] = {"print FILE|NAME.mlmodelc|- [options]",
                                             "print FILE|NAME.mlmodelc|- ... --check [options]"};
constexpr OptionSpec kPrintOptions[] = {
    {.name = "--canonical",
     .value = "",
     .doc = "one text for all that differ in nothing but order, layout and spelling"},
    {.name = "--dialect",
     .value = "VERSION",
     .doc = "program(1.0), which writes a scalar as tensor<fp16, []>, or program(1.3): fp16",
     .choices = "1.0 1.3"},
    {.name = "--style",
     .value = "STYLE",
     .doc = "apple (default): as Apple's compiler lays out text; compact: no space that is not "
            "needed",
     .choices = "apple compact"},
    {.name = "--floats",
     .value = "HOW",
     .doc = "rounded to their dtype: hex, or decimal, the shortest that reads back to the same "
            "bits; without it as written",
     .choices = "hex decimal"},
    {.name = "--as",
     .value = "LANGUAGE",
     .doc = "mil (default), or cpp: C++ source for milgen",
     .choices = "mil cpp"},
    {.name = "--check",
     .value = "",
     .doc = "print nothing; show what printing would change: - is what is there, + what would be"},
    {.name = "--out",
     .value = "FILE",
     .doc = "write to FILE, whole or not at all",
     .short_name = "-o"},
};
constexpr std::string_view kPrintNotes =
    "Text that Apple's compiler wrote is printed back byte for byte. Order, dialect, numbers, "
    "attributes and comments stay as they are unless an option says otherwise; layout becomes "
    "Apple's. A comment behind an op stays there, others stand on lines of their own; the "
    "canonical form has "
    "none. Lines end in LF. A number that its dtype does not hold, as 70000 in "
    "fp16, stays as it is written.\n\n"
    "The canonical form orders arguments, attributes and ops, writes floats in hex, makes a const "
    "of "
    "every literal that stands in an argument, and is program(1.3). Names, functions and their "
    "inputs, and what no output needs are kept. Texts of equal graphs that give their values other "
    "names have different canonical forms: 'diff' compares those.\n\n"
    "A text with a syntax error is not printed.";

// --- diff ---

constexpr Example kDiffExamples[] = {
    {"diff a.mil b.mil", "the same graph, or what differs"},
    {"diff old.mlmodelc new.mlmodelc --weights", "weights by value, wherever they stand"},
    {"diff out/ffn_bwd.mil ffn_bwd", "a text against a built-in kernel"},
    {"diff a.mil b.mil --format json", "for a program"},
};
constexpr std::string_view kDiffUsages[] = {"diff A B [options]",
                                            "diff A KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kDiffOptions[] = {
    {.name = "--weights",
     .value = "",
     .doc = "compare the values in weight files instead of paths and offsets"},
    {.name = "--model-path-a",
     .value = "DIR",
     .doc = "what @model_path stands for in A; without it the folder of the text"},
    {.name = "--model-path-b", .value = "DIR", .doc = "the same for B"},
    {.name = "--commutative", .value = "", .doc = "add(x = a, y = b) is add(x = b, y = a)"},
    {.name = "--config",
     .value = "NAME",
     .doc = "of a kernel: start from a named configuration; NAME=VALUE then changes it"},
    kWeightsAs,
    {.name = "--limit",
     .value = "N",
     .doc = "show the first N changes (default 20); 0 shows all of them"},
    kFormat,
};
constexpr std::string_view kDiffNotes =
    "A and B are MIL files, NAME.mlmodelc folders, '-', or names of kernels. Programs are compared "
    "as graphs: names, the order of independent ops, where constants stand, the spelling of "
    "numbers, the dialect, the order of arguments, buildInfo and layout do not matter. Inputs are "
    "held against each other by name, or by place where names differ, outputs by name where both "
    "have the same names, else by place; other names and another order are said. Exit code 0 says "
    "identical or the same graph, 3 different.";

// --- stats ---

constexpr Example kStatsExamples[] = {
    {"stats model.mlmodelc", "ops, parameters, bytes and FLOPs of each function"},
    {"stats *.mil --format json", "for a program"},
    {"stats sdpa_fwd_taps --weights-as=packed", "a kernel, its weights behind its input"},
};
constexpr std::string_view kStatsUsages[] = {"stats FILE|NAME.mlmodelc|- ... [options]",
                                             "stats KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kStatsOptions[] = {
    {.name = "--config",
     .value = "NAME",
     .doc = "of a kernel: start from a named configuration; NAME=VALUE then changes it"},
    kWeightsAs,
    kFormat,
};
constexpr std::string_view kStatsNotes =
    "FLOPs count one for each addition, product, comparison or function value of an element, so "
    "that a multiply-add is 2: a convolution has 2 * results * inputs of a result, a softmax 5 an "
    "element, a layer_norm 7. Moving data, casts, sorting and what is done at compile time count "
    "nothing; blocks count once. Parameters are the elements of weights and of inline float "
    "tensors, those of compressed weights after unpacking. Ops with unknown dims are not in the "
    "sums, and their number is said.";

// --- run, compare ---

constexpr OptionSpec kInput = {
    .name = "--input",
    .value = "[NAME=]SOURCE",
    .doc =
        "values of an input, or of all that have none yet: FILE.npy, FILE.safetensors, a folder "
        "of NAME.npy, FILE with raw values, seed:N, zeros, ones, or a number; may be repeated",
    .repeatable = true};
constexpr OptionSpec kState = {
    .name = "--state",
    .value = "[NAME=]SOURCE",
    .doc = "the same for a state, which begins with zeros otherwise; may be repeated",
    .repeatable = true};
constexpr OptionSpec kFunction = {
    .name = "--function",
    .value = "F",
    .doc = "the function that is run; without it main, or the only one"};
constexpr OptionSpec kBackend = {
    .name = "--backend",
    .value = "BACKEND",
    .doc = "what runs the program: cpu (default), or ane, the Neural Engine"};
constexpr OptionSpec kMode = {
    .name = "--mode",
    .value = "MODE",
    .doc =
        "exact (default): rounds after each op, the same bits on every machine; fast: a BLAS "
        "library, fewer roundings, other orders of adding",
    .choices = "exact fast"};
constexpr OptionSpec kThreads = {
    .name = "--threads",
    .value = "N",
    .doc = "threads that work at a time; 0 (default): as many as the machine has"};
constexpr OptionSpec kSeedOption = {
    .name = "--seed",
    .value = "N",
    .doc = "what random ops without a seed of their own draw from (default 0)"};
constexpr OptionSpec kRunModelPath = {
    .name = "--model-path",
    .value = "DIR",
    .doc = "what @model_path stands for; without it the folder of the text"};
constexpr OptionSpec kRunWeights = {
    .name = "--weights",
    .value = "SOURCE",
    .doc =
        "of a text: look all weights up in this file, whatever path the text says; of a kernel: "
        "where its weights come from, as 'emit --weights-from' has it (default seed:0)"};
constexpr OptionSpec kRunMap = {
    .name = "--map",
    .value = "FILE",
    .doc = "of a kernel: which tensor of the source a weight is, as 'emit --map' has it"};
constexpr OptionSpec kRunConfig = {
    .name = "--config",
    .value = "NAME",
    .doc = "of a kernel: start from a named configuration; NAME=VALUE then changes it"};

constexpr Example kRunExamples[] = {
    {"run ffn_bwd --config small --input seed:7", "a kernel on made-up values"},
    {"run model.mlmodelc --input x=x.npy --output y=y.npy", "a compiled model on values of yours"},
    {"run model.mil --input seed:1 --time --repeat 20", "how long it takes"},
    {"run model.mil --input in.safetensors --output out.safetensors", "all inputs and outputs"},
    {"run model.mil --input x=seed:7:[1,64] --report-nonfinite", "a ? dim, and where NaNs begin"},
    {"run ffn_bwd --input seed:7 --weights-as=param", "a kernel whose weights are inputs"},
};
constexpr std::string_view kRunUsages[] = {"run FILE|NAME.mlmodelc|- [options]",
                                           "run KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kRunOptions[] = {
    kInput,
    kState,
    {.name = "--output",
     .value = "[NAME=]FILE",
     .doc =
         "save an output or a state, or all of them: FILE.npy, FILE.safetensors, another FILE.EXT "
         "for raw values, or a folder, DIR or DIR/, for NAME.npy of each; may be repeated",
     .repeatable = true},
    {.name = "--values", .value = "N", .doc = "show the first N values of each output"},
    kFunction,
    kMode,
    kThreads,
    kSeedOption,
    {.name = "--repeat",
     .value = "N",
     .doc = "run N times more, for --time and --profile; outputs are those of the first run"},
    {.name = "--time", .value = "", .doc = "say how long it took, and how much memory"},
    {.name = "--profile",
     .value = "",
     .doc = "a table of the ops, the slowest first; of the fastest run where it is repeated"},
    {.name = "--report-nonfinite",
     .value = "",
     .doc = "name the first op that made an infinity or NaN of finite values"},
    kRunModelPath,
    kRunWeights,
    kRunMap,
    kRunConfig,
    kWeightsAs,
    kBackend,
    kFormat,
};
constexpr std::string_view kRunNotes =
    "Runs a function and shows a line for each output and state: dtype, shape, least and greatest "
    "number, mean of what is finite, how many elements are NaN and infinite.\n\n"
    "SOURCE may end in the shape of an input with ? dims: zeros:[1, 64]. A file has the dtype and "
    "shape of the input that it is for. seed:N is by formula (golden/README.md, 'Seeded inputs'): "
    "floats from -1 to 1, integers from 0 to 99. A file that is called like a word or number is "
    "./zeros.\n\n"
    "With --weights-as, --input is for activations alone: weights come from --weights as ever, and "
    "are put where the plan says.\n\n"
    "Every repetition begins with the same states. Strings are not saved, so that of a "
    "dictionary the values are; elements of a list are NAME.0, NAME.1 ...";

constexpr Example kCompareExamples[] = {
    {"compare ffn_bwd --config small --input seed:7 --with mode=fast", "fast against exact"},
    {"compare model.mil --input x=x.npy --with y=y.npy", "against a saved output"},
    {"compare model.mil --input in.safetensors --with outputs=out --tolerance 4eps",
     "against a folder of NAME.npy"},
    {"compare model.mil --input seed:1 --threads 1 --with threads=4", "bit for bit"},
    {"compare ffn_bwd --input seed:7 --with weights-as=param",
     "weights compiled in, and as inputs"},
};
constexpr std::string_view kCompareUsages[] = {
    "compare FILE|NAME.mlmodelc|- --with OTHER [options]",
    "compare KERNEL [NAME=VALUE ...] --with OTHER [options]"};
constexpr OptionSpec kCompareOptions[] = {
    {.name = "--with",
     .value = "OTHER",
     .doc =
         "mode=exact, mode=fast, backend=NAME, threads=N or weights-as=MODES for another run; "
         "outputs=DIR, outputs=FILE.safetensors or OUTPUT=FILE for what was saved; may be repeated",
     .repeatable = true},
    {.name = "--tolerance",
     .value = "T",
     .doc = "the greatest error that is allowed: 4eps, or 1e-3; default 0, and 8eps between "
            "backends and where a side is fast"},
    kInput,
    kState,
    kFunction,
    kMode,
    kThreads,
    kSeedOption,
    kRunModelPath,
    kRunWeights,
    kRunMap,
    kRunConfig,
    kWeightsAs,
    kBackend,
    kFormat,
};
constexpr std::string_view kCompareNotes =
    "Runs a program, holds its outputs against those of another run or of files, and shows the "
    "element with the largest error of each output. The error is |here - there| / max(|there|, "
    "root mean square of the output there); eps is the spacing of the dtype's values at 1, 2^-10 "
    "for fp16. In epsilons, what is no float has to be equal. NaN equals NaN. A missing output, "
    "another dtype or another shape is a difference. Exit code 3 says that something is beyond "
    "the tolerance. Inputs, states and weights are given as for 'run'.";

// --- compile, bench, info, probe ---

constexpr OptionSpec kQos = {
    .name = "--qos", .value = "N", .doc = "quality of service, 0 to 63; default 21"};
constexpr OptionSpec kEngineOption = {
    .name = "--option",
    .value = "KEY=VALUE",
    .doc =
        "an entry of the engine's options, as kANEFKeepModelMemoryWiredKey=true; may be repeated",
    .repeatable = true};
constexpr OptionSpec kPerfMask = {
    .name = "--perf-mask",
    .value = "N",
    .doc = "ask for performance counters, 1 to 15; the engine then tells its own time"};
constexpr OptionSpec kTimeout = {
    .name = "--timeout",
    .value = "SECONDS",
    .doc =
        "how long a call may take before it is given up; 0 for ever; default 600 to compile, 60 "
        "to load, 30 to evaluate"};
constexpr OptionSpec kCache = {
    .name = "--cache", .value = "", .doc = "keep the compiled program for later runs, and use it"};
constexpr OptionSpec kCacheFolder = {
    .name = "--cache-folder",
    .value = "DIR",
    .doc = "where it is kept; without it what MILGEN_ANE_CACHE says, or the user's caches"};
constexpr OptionSpec kDump = {
    .name = "--dump",
    .value = "DIR",
    .doc = "write what is sent to the engine below DIR before it is sent"};

constexpr Example kCompileExamples[] = {
    {"compile sdpa_fwd_taps", "one kernel: its layout in memory, and how long it took"},
    {"compile model.mil --save out", "and what was sent and made, as files"},
    {"compile ffn_bwd dim=512 hidden=1376 --cache", "the second time it is only loaded"},
    {"compile model.mlmodelc --package", "a package that Core ML compiled, as it is"},
};
constexpr std::string_view kCompileUsages[] = {"compile FILE|NAME.mlmodelc|- [options]",
                                               "compile KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kCompileOptions[] = {
    {.name = "--save",
     .value = "DIR",
     .doc = "write the program's files to DIR: model.mil, weights/, and what the engine made"},
    {.name = "--package", .value = "", .doc = "load NAME.mlmodelc itself, not the text in it"},
    kFunction,
    kRunModelPath,
    kRunWeights,
    kRunMap,
    kRunConfig,
    kWeightsAs,
    kCache,
    kCacheFolder,
    kQos,
    kEngineOption,
    kPerfMask,
    kTimeout,
    kDump,
    kFormat,
};
constexpr std::string_view kCompileNotes =
    "Compiles and loads a program on the Neural Engine of this Mac and shows, for each input and "
    "output, the symbol that it is bound to, the bytes of a row and of its surface, and whether "
    "the "
    "engine told the strides or rows of 64 bytes are assumed.\n\n"
    "MILGEN_ANE_LIBRARY names a library to use in place of the system's. Exit code 4 says that "
    "there is no engine here.";

constexpr Example kBenchExamples[] = {
    {"bench sdpa_fwd_taps", "compile, load, write, evaluate, read, each by itself"},
    {"bench model.mil --repeat 2000 --route direct", "another message of the runtime"},
    {"bench ffn_bwd --compiles 5 --format json", "five compilations, for a program"},
};
constexpr std::string_view kBenchUsages[] = {"bench FILE|NAME.mlmodelc|- [options]",
                                             "bench KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kBenchOptions[] = {
    {.name = "--repeat", .value = "N", .doc = "evaluations that count; default 200"},
    {.name = "--warmup", .value = "N", .doc = "evaluations before those; default 10"},
    {.name = "--compiles",
     .value = "N",
     .doc = "compilations, each held to the compile budget of the process; default 1"},
    {.name = "--route",
     .value = "ROUTE",
     .doc = "the message that evaluates: standard (default), client, direct or real-time",
     .choices = "standard client direct real-time"},
    {.name = "--input",
     .value = "[NAME=]SOURCE",
     .doc = "values as 'run' takes them; seed:0 for inputs that are given none; may be repeated",
     .repeatable = true},
    kFunction,
    kRunModelPath,
    kRunWeights,
    kRunMap,
    kRunConfig,
    kWeightsAs,
    kCache,
    kCacheFolder,
    kQos,
    kEngineOption,
    kPerfMask,
    kTimeout,
    kDump,
    kFormat,
};
constexpr std::string_view kBenchNotes =
    "Times on the host, in milliseconds: p50 and p99 are what half and 99 of 100 times are not "
    "above. 'hardware' is what the engine measured, where --perf-mask asks for it and it tells. "
    "Writing inputs and reading outputs count by themselves.";

constexpr Example kInfoExamples[] = {
    {"info", "the engine, the system, and what the runtime lacks"},
    {"info --all", "every function, class and selector that milgen may use"},
    {"info --format json", "for a report"},
};
constexpr std::string_view kInfoUsages[] = {"info [options]"};
constexpr OptionSpec kInfoOptions[] = {
    {.name = "--all", .value = "", .doc = "list what is there, too"},
    kFormat,
};

constexpr Example kProbeExamples[] = {
    {"probe", "how this Mac pitches rows, binds names, and takes rewritten weights"},
    {"probe --only rows", "one question"},
    {"probe --format json", "for a report"},
};
constexpr std::string_view kProbeUsages[] = {"probe [options]"};
constexpr OptionSpec kProbeOptions[] = {
    {.name = "--only",
     .value = "QUESTION",
     .doc = "ask this alone: rows, min_surface, names, symbols, fp32_io, rewritten_weights, cache, "
            "folder, "
            "routes, real_time, perf_stats, events or queue; may be repeated",
     .choices =
         "rows min_surface names symbols fp32_io rewritten_weights cache folder routes real_time "
         "perf_stats events queue",
     .repeatable = true},
    kFormat,
};
constexpr std::string_view kProbeNotes =
    "Compiles small programs whose results tell what public sources disagree about, and prints one "
    "verdict for each question with what it was read from. Each compilation counts against the "
    "compile budget of this process alone.";

// --- weights ---

constexpr Example kWeightsExamples[] = {
    {"weights out/weights/wq.bin", "the records of one file"},
    {"weights out", "of every weight file that was emitted there"},
    {"weights out --format json", "for a program"},
    {"weights w.bin --lenient", "of a file that breaks the format"},
};
constexpr std::string_view kWeightsUsages[] = {"weights FILE|DIR|- [options]"};
constexpr OptionSpec kWeightsOptions[] = {
    {.name = "--lenient",
     .value = "",
     .doc = "read files that break the format as hand-written tools do"},
    {.name = "--mil", .value = "TEXT", .doc = "the MIL text whose weights these are"},
    kFormat,
};
constexpr std::string_view kWeightsNotes =
    "Offsets count bytes from the start of the file: 'record' is what BLOBFILE(offset = ...) "
    "means, "
    "'data' is 64 bytes behind it. A weight file has no names and no shapes; they are taken from "
    ".mil files in the same folder or the one above. Every fault of a broken file is reported, and "
    "of "
    "a folder with .mil files also every reference that does not fit the record it names.\n\n"
    "--lenient is for files of several records that count 1, stand at no multiple of 64, or have "
    "zeros or constants for size and offset: each such liberty is a warning. The texts then say "
    "where records are and what they hold; without one they are looked for by their sentinels, "
    "which is a guess. --mil names the text where it does not lie near; its references are held "
    "against FILE, whatever path they have.";

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
    {"kernels ffn_bwd", "tensors of one kernel, ops in each mode"},
    {"kernels ffn_bwd dim=512 hidden=1376", "at other parameters"},
    {"kernels sdpa_fwd_taps --weights-as=packed", "and what stands where in its input"},
    {"kernels stories --format json", "one set, for a program"},
};
constexpr std::string_view kKernelsUsages[] = {"kernels [SET] [options]",
                                               "kernels KERNEL [NAME=VALUE ...] [options]"};
constexpr OptionSpec kKernelsOptions[] = {
    {.name = "--config",
     .value = "NAME",
     .doc = "start from a named configuration; NAME=VALUE then changes it"},
    kWeightsAs,
    kFormat,
};
constexpr std::string_view kKernelsNotes =
    "Ops are counted without constants, of a set at its first configuration, for each way in which "
    "its weights may come: const, param, packed ('emit --help' says what they are). '-' says that "
    "no weight of the kernel can come so.";

// --- demo ---

constexpr Example kDemoExamples[] = {
    {"demo -o out", "emit, run, compare, and a table of what there is"},
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
    "seed 0, holds text and weights against the goldens, then runs what was emitted on the CPU "
    "backend, in mode exact, and holds the outputs against the numeric goldens. The table says "
    "'none' where there is no golden.\n\n"
    "Numbers are 'same' where each sampled element is what rounding after each op gives, and "
    "'near' "
    "within the tolerances of the golden. The error is that of the element which uses up most of "
    "its tolerance, against the true value, in epsilons. Exit code 3 says that something differs.";

// --- explain, completion, help ---

constexpr Example kExplainExamples[] = {
    {"explain conv.channels", "the rule behind one diagnostic"},
    {"explain conv", "all that begin with 'conv.'"},
    {"explain", "all of them"},
};
constexpr std::string_view kExplainUsages[] = {"explain [ID] [options]"};
constexpr OptionSpec kExplainOptions[] = {kFormat};

constexpr Example kCompletionExamples[] = {
    {"completion bash > ~/.local/share/bash-completion/completions/milc", "for bash"},
    {"completion zsh > ~/.zfunc/_milc", "for zsh, where $fpath has ~/.zfunc"},
    {"completion fish > ~/.config/fish/completions/milc.fish", "for fish"},
};
constexpr std::string_view kCompletionUsages[] = {"completion bash|zsh|fish",
                                                  "completion configs|ids|kernels|ops|params|sets"};
constexpr std::string_view kCompletionNotes =
    "Writes a script that completes commands, options, their values, files, kernels, parameters, "
    "ops and ids of diagnostics. The lists that the second form writes are what the script asks "
    "the "
    "program for, so that it need not be written again when they grow.";

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
    {.name = "verify",
     .summary = "judge MIL text: names, types, shapes, weights",
     .examples = kVerifyExamples,
     .usages = kVerifyUsages,
     .options = kVerifyOptions,
     .notes = kVerifyNotes,
     .max_args = kAnyNumber,
     .run = run_verify},
    {.name = "print",
     .summary = "MIL text as written, in canonical form, or as C++",
     .examples = kPrintExamples,
     .usages = kPrintUsages,
     .options = kPrintOptions,
     .notes = kPrintNotes,
     .max_args = kAnyNumber,
     .run = run_print},
    {.name = "run",
     .summary = "run a program: outputs, times, files",
     .examples = kRunExamples,
     .usages = kRunUsages,
     .options = kRunOptions,
     .notes = kRunNotes,
     .max_args = kAnyNumber,
     .run = run_run},
    {.name = "compare",
     .summary = "run a program twice, or against saved outputs, and compare",
     .examples = kCompareExamples,
     .usages = kCompareUsages,
     .options = kCompareOptions,
     .notes = kCompareNotes,
     .max_args = kAnyNumber,
     .run = run_compare},
    {.name = "compile",
     .summary = "compile a program for the Neural Engine and show its layout",
     .examples = kCompileExamples,
     .usages = kCompileUsages,
     .options = kCompileOptions,
     .notes = kCompileNotes,
     .max_args = kAnyNumber,
     .run = run_compile},
    {.name = "bench",
     .summary = "time a program on the Neural Engine, phase by phase",
     .examples = kBenchExamples,
     .usages = kBenchUsages,
     .options = kBenchOptions,
     .notes = kBenchNotes,
     .max_args = kAnyNumber,
     .run = run_bench},
    {.name = "info",
     .summary = "the Neural Engine of this machine, and what its runtime has",
     .examples = kInfoExamples,
     .usages = kInfoUsages,
     .options = kInfoOptions,
     .notes = "",
     .max_args = 0,
     .run = run_info},
    {.name = "probe",
     .summary = "small programs that settle how this machine's engine behaves",
     .examples = kProbeExamples,
     .usages = kProbeUsages,
     .options = kProbeOptions,
     .notes = kProbeNotes,
     .max_args = 0,
     .run = run_probe},
    {.name = "diff",
     .summary = "whether two programs are the same graph, and what differs",
     .examples = kDiffExamples,
     .usages = kDiffUsages,
     .options = kDiffOptions,
     .notes = kDiffNotes,
     .max_args = kAnyNumber,
     .run = run_diff},
    {.name = "stats",
     .summary = "ops, parameters, bytes and FLOPs of programs",
     .examples = kStatsExamples,
     .usages = kStatsUsages,
     .options = kStatsOptions,
     .notes = kStatsNotes,
     .max_args = kAnyNumber,
     .run = run_stats},
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
     .notes = kKernelsNotes,
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
    {.name = "completion",
     .summary = "completion of this program's command line, for a shell",
     .examples = kCompletionExamples,
     .usages = kCompletionUsages,
     .options = {},
     .notes = kCompletionNotes,
     .max_args = 1,
     .run = run_completion},
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
