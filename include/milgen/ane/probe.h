// Questions to the Neural Engine of a machine, for what public sources disagree about. Each is
// asked by small programs whose results cannot come out right for two answers at once.
//
//     for (const ane::ProbeAnswer& answer : ane::probe(engine))
//       std::printf("%s: %s\n", answer.name.c_str(), answer.verdict.c_str());
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"

namespace milgen::ane {

struct ProbeQuestion {
  std::string_view name;     ///< "rows"
  std::string_view asks;     ///< one sentence
  std::string_view settles;  ///< which disagreement of sources, and what milgen takes for granted
  int compiles = 0;          ///< what asking takes from the compile budget of the process, at most
};
/// In the order in which they are asked; about 30 compilations together.
std::span<const ProbeQuestion> probe_questions();

/// Whether a machine is as milgen takes it to be.
enum class ProbeAgreement : std::uint8_t {
  agrees,
  differs,  ///< milgen works all the same unless the verdict says otherwise
  untold,   ///< the machine does not show it
};
std::string_view name(ProbeAgreement agreement);

struct ProbeAnswer {
  std::string name;
  ProbeAgreement agreement = ProbeAgreement::untold;
  std::string verdict;                ///< one sentence
  std::vector<std::string> evidence;  ///< what was read, a line each
  Error error;                        ///< why it could not be asked
};

/// Asks one question; `argument` in the answer's error for a name that is none. What does not
/// answer within two minutes is given up: `timeout`. Any thread; one question at a time.
ProbeAnswer probe(const Engine& engine, std::string_view name);
/// All questions.
std::vector<ProbeAnswer> probe(const Engine& engine);

}  // namespace milgen::ane
