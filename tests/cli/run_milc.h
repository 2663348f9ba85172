// Runs milc inside of the test.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "milgen/cli.h"
#include "milgen/kernels/stories.h"

namespace milgen {

struct MilcRun {
  int code = -1;
  std::string out;
  std::string err;
};

struct MilcSetting {
  std::string cwd = {};
  bool ci = false;
  int replay_depth = 0;
  std::string input = {};
};

inline MilcRun run_milc(const std::vector<std::string>& args, const Registry& registry,
                        const MilcSetting& setting = {}) {
  std::istringstream in(setting.input);
  std::ostringstream out;
  std::ostringstream err;
  Streams streams{.in = in,
                  .out = out,
                  .err = err,
                  .cwd = setting.cwd,
                  .ci = setting.ci,
                  .replay_depth = setting.replay_depth};
  MilcRun run;
  run.code = milc_main(args, streams, registry);
  run.out = std::move(out).str();
  run.err = std::move(err).str();
  return run;
}

inline Registry builtin_kernels() {
  Registry registry;
  add_builtin_kernels(registry);
  return registry;
}

}  // namespace milgen
