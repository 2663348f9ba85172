// The log of a training run while it is written.
#pragma once

#include <fstream>
#include <string>

#include "milgen/train/trainer.h"

namespace milgen::train::detail {

/// A CSV file that grows by a row a step.
class TrainLog {
 public:
  /// With no path everything succeeds and nothing is written. Rows of steps before `step` that are
  /// there stay, those from it on are of a run that went on behind its checkpoint and go.
  bool open(const std::string& path, std::int64_t step, Diagnostics& diagnostics);
  bool add(const LogRow& row, Diagnostics& diagnostics);

 private:
  std::string path_;
  std::ofstream out_;
};

}  // namespace milgen::train::detail
