// The tool stories_train as a function: trains a Llama-style model through the kernels.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "milgen/cli.h"

namespace milgen {

struct StoriesTrainSetting {
  /// The folder with tokens.bin and tokenizer.bin that a run without --tokens trains on; "" for
  /// none.
  std::string tiny_folder = {};
  /// Starts the tool again with these arguments, in a process that may compile anew; what it
  /// returns is the exit code. Without it a run whose compile budget is used up ends.
  std::function<int(const std::vector<std::string>& args)> restart = {};
};

/// Exit codes are those of milc_main(). Nothing is thrown, nothing is kept between calls.
int stories_train_main(std::span<const std::string> args, Streams& streams,
                       const StoriesTrainSetting& setting);

/// For a main(): standard streams, the tiny text of the source tree that the program was built in,
/// and a restart that replaces the process.
int stories_train_main(int argc, char** argv);

}  // namespace milgen
