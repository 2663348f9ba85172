// Where the outputs of a run are saved.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

/// The values of --output: [NAME=]FILE.npy, FILE.safetensors, FILE with raw values, or a folder.
class RunOutput {
 public:
  /// Reads the option; `usage.value` for one that names nothing.
  bool read(const Args& args, Diagnostics& diagnostics);
  /// Holds it against what the program has, before it runs: `run.output` for an unknown name or a
  /// file that two outputs would be written to, `file.*` for one that cannot be written.
  bool check(const Context& context, const Executable& executable, Diagnostics& diagnostics);
  /// Writes outputs and states, each file whole or not at all.
  bool write(const Context& context, std::span<const NamedArray> values, Diagnostics& diagnostics);
  /// The files that were written, as the user names them.
  const std::vector<std::string>& files() const { return files_; }

 private:
  struct Spec {
    std::string name;  ///< empty: all of them
    std::string path;
  };

  /// What becomes one file, or files in one folder.
  struct Target {
    bool is_folder = false;
    std::set<std::string> names;  ///< of outputs and states
  };

  bool plan(const Spec& spec, bool is_folder, std::span<const std::string> names,
            Diagnostics& diagnostics);
  bool write_folder(const Context& context, const std::string& folder,
                    std::span<const NamedArray> arrays, Diagnostics& diagnostics);
  bool write_file(const Context& context, const std::string& path, const Target& target,
                  std::span<const NamedArray> arrays, Diagnostics& diagnostics);

  std::vector<Spec> specs_;
  std::map<std::string, Target> targets_;  ///< by path
  std::vector<std::string> files_;
};

}  // namespace milgen::cli
