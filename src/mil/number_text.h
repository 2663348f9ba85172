// Numbers as MIL text spells them (mil_text_format, section 3.1).
#pragma once

#include <cstdint>
#include <string>

#include "milgen/dtype.h"
#include "milgen/print.h"

namespace milgen {

/// Longest text that either function below writes.
inline constexpr int kNumberTextBytes = 40;

/// Writes `value` in decimal; returns the end.
char* write_integer(char* out, std::int64_t value);

/// Writes a float that is already rounded to `dtype`. Hex: printf's %a of the value as a double,
/// `inf`, `-inf`, `nan`. Decimal: the shortest decimal that gives the same bits of `dtype` whether
/// a reader rounds it once or goes through double; always with a point or an exponent, so that it
/// reads as a float.
char* write_float(char* out, double value, DType dtype, FloatStyle style);

std::string float_text(double value, DType dtype, FloatStyle style);

}  // namespace milgen
