#include "ane/program_source.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "ane/lint.h"
#include "mil/module_data.h"
#include "mil/weight_file_set.h"
#include "milgen/emit.h"
#include "milgen/verify.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

/// Weight files that are open, with what the caller gave.
struct WeightOwner {
  std::vector<WeightFileBytes> given;
  std::vector<MemoryFile> files;
  std::unique_ptr<WeightFileSet> set;
};

/// The first error since `errors_before`, as one line.
std::string first_error(const Diagnostics& diagnostics, std::size_t errors_before) {
  std::size_t errors = 0;
  for (const Diagnostic& one : diagnostics.all()) {
    if (one.severity != Severity::error || errors++ < errors_before) continue;
    std::string place = printable(one.place.file);
    if (one.place.line != 0) place += fmt::format(":{}", one.place.line);
    return fmt::format("{}{}{} [{}]", place, place.empty() ? "" : ": ", one.message, one.id);
  }
  return {};
}

Error counted_error(ErrorKind kind, std::string_view what, const Diagnostics& diagnostics,
                    std::size_t errors_before) {
  const std::size_t errors = diagnostics.errors() - errors_before;
  return {kind, fmt::format("{} {} error{}: {}", what, errors, errors == 1 ? "" : "s, the first",
                            first_error(diagnostics, errors_before))};
}

/// An error that is reported where it is in the text, too.
Error placed(Error error, Place place, Diagnostics& diagnostics) {
  report(error, diagnostics, std::move(place));
  return error;
}

/// The engine runs the first procedure: a later one uses other symbols (ane_runtime, 4.6), and
/// which procedure a function becomes is certain for the first alone.
Result<mil::Function> choose_function(const Module& module, const std::string& wanted) {
  std::string names;
  std::ptrdiff_t chosen = -1;
  for (std::size_t i = 0; i < module.functions().size(); ++i) {
    const std::string_view name = module.functions()[i].name();
    const bool is_only = module.functions().size() == 1;
    if (wanted.empty() ? name == "main" || is_only : name == wanted) {
      chosen = static_cast<std::ptrdiff_t>(i);
    }
    names += (i == 0 ? "" : ", ") + printable(name);
  }
  if (chosen == 0) return module.functions()[0];
  if (chosen > 0) {
    const std::string_view name = module.functions()[static_cast<std::size_t>(chosen)].name();
    return Error(
        {.kind = ErrorKind::argument,
         .message = fmt::format("function {} is not the first of the program, which has {}",
                                printable(name), names),
         .hint = "the engine runs the first; put the function into a text of its own"});
  }
  return Error(ErrorKind::argument,
               wanted.empty()
                   ? fmt::format("the program has the functions {} and none is called main", names)
                   : fmt::format("the program has no function {}, only {}", printable(wanted),
                                 names.empty() ? "none" : names));
}

/// One input or output, laid out by rule A.
Result<TensorLayout> declare_one(std::string_view what, std::string_view name, mil::Type type) {
  if (type && type.type_class() == mil::TypeClass::state) {
    return Error({.kind = ErrorKind::layout,
                  .message = fmt::format("{} {} is {}, and the runtime takes no states", what,
                                         printable(name), type.text()),
                  .hint = "give the state as an input and an output, and alternate their surfaces "
                          "(StateHandle)"});
  }
  if (!type || type.type_class() != mil::TypeClass::tensor) {
    return Error(ErrorKind::layout,
                 fmt::format("{} {} is {}, and surfaces hold tensors", what, printable(name),
                             type ? type.text() : "of no type"));
  }
  return make_layout(std::string(name), type.dtype(), type.shape());
}

}  // namespace

Error text_error(const Diagnostics& diagnostics, std::size_t errors_before) {
  return counted_error(ErrorKind::text, "the program has", diagnostics, errors_before);
}

Result<Declaration> declare(const mil::Function& function, Diagnostics& diagnostics) {
  Declaration declaration;
  for (const mil::Value input : function.inputs()) {
    Result<TensorLayout> layout = declare_one("input", input.name(), input.type());
    if (!layout) return placed(layout.error(), input.place(), diagnostics);
    layout->symbol = input_symbol(layout->name);
    declaration.inputs.push_back(*std::move(layout));
  }
  std::set<std::string_view> names;
  for (const mil::Binding output : function.body().outputs()) {
    const mil::Type type = output.is_value() ? output.value().type() : mil::Type();
    Result<TensorLayout> layout = declare_one("output", output.name(), type);
    if (!layout) return placed(layout.error(), output.place(), diagnostics);
    if (!names.insert(output.name()).second) {
      return placed(Error(ErrorKind::layout,
                          fmt::format("output {} is named twice", printable(output.name()))),
                    output.place(), diagnostics);
    }
    layout->symbol = output_symbol(layout->name);
    declaration.outputs.push_back(*std::move(layout));
  }
  return declaration;
}

namespace {

/// Opens every weight file that the text names, and holds it against what the text says of it.
Error open_weights(const Module& module, const ModelOptions& options, ProgramSource& source,
                   Diagnostics& diagnostics) {
  const std::vector<WeightReference> references = weight_references(module);
  auto owner = std::make_shared<WeightOwner>();
  owner->given = options.weights;
  for (const WeightFileBytes& file : owner->given) {
    if (file.bytes != nullptr) owner->files.push_back({file.path, *file.bytes});
  }
  // What the field's own writers get wrong is a warning: the engine reads such files
  // (mil_text_format, section 6.1).
  owner->set = std::make_unique<WeightFileSet>(
      options.model_path, CheckWeightsOptions{.lenient = true, .file = options.weight_file},
      owner->files);
  const std::size_t errors_before = diagnostics.errors();
  if (!owner->set->check(references, diagnostics)) {
    return counted_error(ErrorKind::weights, "the program's weights have", diagnostics,
                         errors_before);
  }
  std::set<std::string_view> paths;
  for (const WeightReference& reference : references) {
    if (!paths.insert(reference.path).second) continue;
    const Result<std::string> relative = relative_weight_path(reference.path);
    if (!relative) return placed(relative.error(), reference.place, diagnostics);
    source.weights.push_back({reference.path, owner->set->file(reference.path)});
  }
  source.owner = std::move(owner);
  return {};
}

}  // namespace

Result<ProgramSource> make_source(const Module& module, std::string text,
                                  const ModelOptions& options, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  // The lint says it, of outputs too.
  if (!module || !verify_mil(module, {.allow = {"io.order"}}, diagnostics)) {
    if (diagnostics.errors() == errors_before) {
      return Error(ErrorKind::text, "the program was read with errors");
    }
    return text_error(diagnostics, errors_before);
  }
  const Result<mil::Function> function = choose_function(module, options.function);
  if (!function) return placed(function.error(), Place(module.data().file), diagnostics);
  Result<Declaration> declaration = declare(*function, diagnostics);
  if (!declaration) return declaration.error();
  lint(*function, *declaration, diagnostics);
  ProgramSource source{module.data().file, std::move(text), *std::move(declaration), {}, {}};
  if (Error error = open_weights(module, options, source, diagnostics)) return error;
  return source;
}

}  // namespace milgen::ane
