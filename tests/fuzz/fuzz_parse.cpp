// Any bytes as MIL text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/text_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  milgen::test::stop_at(milgen::test::fault_of_text(text));
  return 0;
}
