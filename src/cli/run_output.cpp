#include "cli/run_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/array_report.h"
#include "cli/run_input.h"
#include "milgen/array_file.h"
#include "support/files.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

namespace fs = std::filesystem;

bool holds_several(std::string_view path) { return path.ends_with(".safetensors"); }

/// What is not there yet is a folder where it has no extension.
bool is_folder(const Context& context, const std::string& path) {
  if (path.ends_with('/')) return true;
  std::error_code code;
  const fs::file_status status = fs::status(context.resolve(path), code);
  return fs::exists(status) ? fs::is_directory(status) : !fs::path(path).has_extension();
}

/// Whether the file can be written, found out without touching what is there.
bool can_write(const std::string& path, Diagnostics& diagnostics) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  // Opening a pipe to see whether it can be opened would end it for its reader.
  if (fs::exists(status) && !fs::is_regular_file(status)) return true;
  AtomicFile file;
  return file.open(path, diagnostics);
}

}  // namespace

bool RunOutput::read(const Args& args, Diagnostics& diagnostics) {
  const std::size_t errors = diagnostics.errors();
  for (const std::string& text : args.values("--output")) {
    Spec spec{.name = {}, .path = text};
    split_name(text, spec.name, spec.path);
    if (spec.path.empty()) {
      diagnostics.error(rule<"usage.value">.id(), fmt::format("--output '{}' says no file", text));
    } else if (spec.path == "-") {
      diagnostics.error(rule<"usage.value">.id(),
                        fmt::format("--output '{}' is no file, and stdout has the report", text));
    }
    // One file has one name here, so that two outputs do not take it from each other.
    spec.path = fs::path(spec.path).lexically_normal().string();
    specs_.push_back(std::move(spec));
  }
  return diagnostics.errors() == errors;
}

bool RunOutput::check(const Context& context, const Executable& executable,
                      Diagnostics& diagnostics) {
  std::vector<std::string> names;
  for (const TensorSpec& output : executable.outputs()) names.push_back(output.name);
  for (const TensorSpec& state : executable.states()) names.push_back(state.name);
  for (Spec& spec : specs_) {
    const bool folder = is_folder(context, spec.path);
    while (folder && spec.path.size() > 1 && spec.path.ends_with('/')) spec.path.pop_back();
    if (!plan(spec, folder, names, diagnostics)) return false;
  }
  return std::ranges::all_of(targets_, [&](const auto& entry) {
    const std::string path = context.resolve(entry.first);
    if (!entry.second.is_folder) return can_write(path, diagnostics);
    return make_folders(path, diagnostics) &&
           can_write(fmt::format("{}/{}.npy", path, *entry.second.names.begin()), diagnostics);
  });
}

bool RunOutput::plan(const Spec& spec, bool is_folder, std::span<const std::string> names,
                     Diagnostics& diagnostics) {
  const auto fail = [&](std::string message) {
    diagnostics.error(rule<"run.output">.id(), std::move(message));
    return false;
  };
  const bool several = is_folder || holds_several(spec.path);
  if (!spec.name.empty()) {
    if (std::ranges::find(names, spec.name) == names.end()) {
      const std::vector<std::string_view> candidates(names.begin(), names.end());
      return fail(
          fmt::format("there is no output '{}'{}", spec.name, did_you_mean(spec.name, candidates)));
    }
    names = std::span(&spec.name, 1);
  } else if (!several && names.size() != 1) {
    return fail(
        fmt::format("'{0}' takes one tensor, but the program has {1} outputs; --output "
                    "NAME={0} says which",
                    spec.path, names.size()));
  }
  Target& target = targets_[spec.path];
  target.is_folder = is_folder;
  for (const std::string& name : names) {
    if (!several && !target.names.empty()) {
      return fail(fmt::format("both '{}' and '{}' would be written to '{}'", *target.names.begin(),
                              name, spec.path));
    }
    target.names.insert(name);
  }
  return true;
}

bool RunOutput::write(const Context& context, std::span<const NamedArray> values,
                      Diagnostics& diagnostics) {
  for (const auto& [path, target] : targets_) {
    std::vector<NamedArray> arrays;
    for (const NamedArray& named : values) {
      if (!target.names.contains(named.name)) continue;
      for (NamedArray& flat : flat_arrays(std::span(&named, 1))) {
        // Labels are in no file's format.
        if (flat.array.dtype() != DType::string) arrays.push_back(std::move(flat));
      }
    }
    if (arrays.empty()) {
      diagnostics.error(rule<"run.output">.id(),
                        fmt::format("'{}' would hold nothing: strings are not saved", path));
      return false;
    }
    if (!(target.is_folder ? write_folder(context, path, arrays, diagnostics)
                           : write_file(context, path, target, arrays, diagnostics))) {
      return false;
    }
  }
  return true;
}

bool RunOutput::write_folder(const Context& context, const std::string& folder,
                             std::span<const NamedArray> arrays, Diagnostics& diagnostics) {
  for (const NamedArray& named : arrays) {
    std::string path = fmt::format("{}/{}.npy", folder, named.name);
    if (!write_npy(context.resolve(path), named.array, diagnostics)) return false;
    files_.push_back(std::move(path));
  }
  return true;
}

bool RunOutput::write_file(const Context& context, const std::string& path, const Target& target,
                           std::span<const NamedArray> arrays, Diagnostics& diagnostics) {
  const std::string file = context.resolve(path);
  if (!holds_several(path) && arrays.size() != 1) {
    diagnostics.error(
        rule<"run.output">.id(),
        fmt::format("'{}' is {} tensors, and '{}' takes one; a folder or a .safetensors file takes "
                    "them all",
                    *target.names.begin(), arrays.size(), path));
    return false;
  }
  const bool done = holds_several(path)      ? write_safetensors(file, arrays, diagnostics)
                    : path.ends_with(".npy") ? write_npy(file, arrays[0].array, diagnostics)
                                             : write_raw(file, arrays[0].array, diagnostics);
  if (done) files_.push_back(path);
  return done;
}

}  // namespace milgen::cli
