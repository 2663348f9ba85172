#include "fuzz/program_checks.h"

#include <fmt/format.h>

#include "milgen/compare.h"
#include "milgen/print.h"
#include "milgen/verify.h"

namespace milgen::test {
namespace {

std::string fault_of_valid(std::string_view text, const std::string& disorder) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  if (!module) return "does not parse: " + render(diagnostics);
  if (print_mil(module) != text) return "is printed as\n" + print_mil(module);
  if (!verify_mil(module, {}, diagnostics)) return "is refused: " + render(diagnostics);
  const std::string fault = fault_of_text(text);
  if (!fault.empty()) return fault;

  const Module other = parse_mil(disorder, diagnostics);
  if (!other)
    return fmt::format("does not parse in disorder: {}\n{}", render(diagnostics), disorder);
  if (compare_mil(module, other).verdict == Verdict::different) {
    return "is another program in disorder:\n" + disorder;
  }
  // Comments and white space behind the program are kept; canonical text has neither.
  const ModulePrintOptions canonical{.canonical = true};
  if (print_mil(other, canonical) != print_mil(module, canonical)) {
    return "has another canonical form in disorder:\n" + disorder;
  }
  return {};
}

}  // namespace

std::string fault_of_program(ProgramGenerator& generator, const ProgramPlan& plan) {
  const std::string text = generator.program(plan);
  const std::string disorder = generator.in_disorder(text);
  const std::string fault = fault_of_valid(text, disorder);
  return fault.empty() ? fault : fmt::format("this program {}\n\n{}", fault, text);
}

}  // namespace milgen::test
