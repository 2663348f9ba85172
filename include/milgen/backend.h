// Running programs. A Backend compiles a function of a Module into an Executable, which is run any
// number of times, by any number of threads at once.
//
//     Diagnostics diagnostics;
//     Module module = read_mil("model.mlmodelc/model.mil", diagnostics);
//     auto model = cpu_backend().compile(module, {.model_path = "model.mlmodelc"}, diagnostics);
//     Array x(DType::fp16, {1, 64});
//     std::vector<NamedArray> outputs;
//     if (model && model->run({{"x", x}}, outputs, diagnostics)) use(outputs[0].array);
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen {

class Module;
class Program;
class WeightSource;

/// How numbers are made on the CPU.
enum class NumericMode : std::uint8_t {
  /// Every op computes in fp32, or wider, and rounds once to its declared dtype: to nearest, ties
  /// to even. Products, convolutions and reductions add in fp32, from zero on, one term after the
  /// other in the order of increasing index; products of fp32 operands are rounded before they are
  /// added. NaN, infinities and subnormals are those of IEEE 754. The same bits for any number of
  /// threads, any vector unit and any machine.
  exact,
  /// Products by the CBLAS library, fused multiply-add, other orders of adding, no rounding inside
  /// of a fused chain. Bits differ between machines.
  fast,
};

/// The bytes of a weight file by the path that BLOBFILE says, exactly as it is written there.
struct WeightFileBytes {
  std::string path;
  std::shared_ptr<const std::vector<std::byte>> bytes;
};

struct CompileOptions {
  /// Empty: `main`, or the only function.
  std::string function = {};
  NumericMode mode = NumericMode::exact;
  /// Threads that one run uses; 0: as many as the machine has.
  int threads = 0;
  /// The folder that `@model_path` stands for.
  std::string model_path = ".";
  /// Weight files that are in memory already; others are looked up below `model_path`, and nowhere
  /// else.
  std::vector<WeightFileBytes> weights = {};
  /// All weights are looked up in this file, whatever their paths; "" for the files that they name.
  std::string weight_file = {};
  /// More memory than this is refused (`memory.limit`) before it is asked for; 0: what the machine
  /// has.
  std::uint64_t memory_limit_bytes = 0;
};

enum class ValueKind : std::uint8_t { tensor, list, dict };

/// An input, output or state of an executable.
struct TensorSpec {
  std::string name;
  DType dtype = DType::none;  ///< of a dict: its values'
  Shape shape;                ///< kUnknownDim where the text says `?`
  ValueKind kind = ValueKind::tensor;
};

/// What one op of a run cost.
struct OpTime {
  std::string op;      ///< "conv"; "mul+reduce_sum" where several ran as one
  std::string result;  ///< name of its first result
  std::uint32_t line = 0;
  std::uint64_t calls = 0;
  std::uint64_t nanoseconds = 0;
};

/// The first value that is infinite or not a number, where no operand of its op was.
struct NonFinite {
  bool found = false;
  std::string op;
  std::string result;
  Place place;
  std::int64_t index = 0;  ///< row-major, in the result
  double value = 0;
  std::uint64_t count = 0;  ///< of such elements in the result
};

/// What a run tells of itself, besides its outputs.
struct RunReport {
  std::uint64_t peak_bytes = 0;      ///< at once: values, scratch and pack buffers, without weights
  std::uint64_t live_bytes = 0;      ///< of planned values that are alive at one time, at the most
  std::uint64_t constant_bytes = 0;  ///< weights and constants as kept, packed forms included
  std::vector<OpTime> ops;           ///< in the order of the program; when asked for
  NonFinite nonfinite;               ///< when asked for
};

struct RunOptions {
  /// The states of the caller: read and written. Those of the program that are not in it are added
  /// with zeros. Without, every run begins with zeros. Two runs at a time may not share states.
  std::vector<NamedArray>* states = nullptr;
  /// What random ops without a seed of their own draw from.
  std::uint64_t seed = 0;
  RunReport* report = nullptr;
  bool time_ops = false;          ///< fill RunReport::ops
  bool report_nonfinite = false;  ///< fill RunReport::nonfinite; runs every op by itself
};

/// A compiled function. run() may be called from several threads at once.
class Executable {
 public:
  virtual ~Executable();
  virtual std::span<const TensorSpec> inputs() const = 0;
  virtual std::span<const TensorSpec> outputs() const = 0;
  virtual std::span<const TensorSpec> states() const = 0;

  /// Runs the function. `inputs` are found by name and read where they are. An output that
  /// `outputs` has an array for is written there, `run.output` where dtype or shape do not fit, as
  /// after a run with other dims; the others are added in the order of the program. What has the
  /// name of no output stays as it is.
  /// Reports `run.input` (missing, unknown, given twice, of another dtype or shape, dims that
  /// contradict each other), and what only running shows, each with the op and its place:
  /// `run.index`, `run.division`, `run.shape`, `memory.limit`, ... False then; outputs and states
  /// that were given have unspecified values.
  virtual bool run(std::span<const NamedArray> inputs, std::vector<NamedArray>& outputs,
                   Diagnostics& diagnostics, const RunOptions& options = {}) const = 0;
  bool run(std::initializer_list<NamedArray> inputs, std::vector<NamedArray>& outputs,
           Diagnostics& diagnostics, const RunOptions& options = {}) const {
    return run(std::span<const NamedArray>(inputs.begin(), inputs.size()), outputs, diagnostics,
               options);
  }
};

/// Something that runs programs.
class Backend {
 public:
  virtual ~Backend();
  virtual std::string_view name() const = 0;
  /// What computes: the backend's name, or "fake" where milgen's fake stands in for the Neural
  /// Engine. Reports of results say it.
  virtual std::string_view engine() const { return name(); }
  /// False, with one sentence of why, where it cannot run here.
  virtual bool available(std::string& why) const = 0;
  /// Verifies the module (verify_mil) and prepares one of its functions. Null when an error was
  /// reported: those of verification, `run.function`, `run.op` (an op without an executor),
  /// `weight.*` and `file.*` of weights, and what evaluating constants shows. The module may go
  /// away afterwards.
  virtual std::unique_ptr<Executable> compile(const Module& module, const CompileOptions& options,
                                              Diagnostics& diagnostics) const = 0;
  /// The same for a program of the DSL, with the values of its weights from `source`.
  std::unique_ptr<Executable> compile(const Program& program, WeightSource& source,
                                      const CompileOptions& options,
                                      Diagnostics& diagnostics) const;
};

/// The executor that runs anywhere.
const Backend& cpu_backend();
/// Apple's Neural Engine, through the private runtime of macOS (milgen/ane/engine.h); what
/// MILGEN_ANE_LIBRARY names in its place. Numbers are the engine's own: CompileOptions::mode,
/// threads and memory_limit_bytes mean nothing to it. Programs with states are refused
/// (`ane.layout`). Runs of one executable exclude each other. MILGEN_ANE_CACHE, a folder, has
/// compiled programs found again. Of a RunReport it fills the bytes of the surfaces, one OpTime for
/// the whole program, and the first output that is not finite.
const Backend& ane_backend();
/// "cpu", "ane"; null for a name that is none.
const Backend* find_backend(std::string_view name);

/// The weight files of a program in memory, with the paths that its text names them by.
bool weight_files(const Program& program, WeightSource& source, std::vector<WeightFileBytes>& files,
                  Diagnostics& diagnostics);

}  // namespace milgen
