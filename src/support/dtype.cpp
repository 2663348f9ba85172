#include "milgen/dtype.h"

#include <array>
#include <cstddef>

namespace milgen {
namespace {

enum class Family : std::uint8_t { other, real, integer };

struct Row {
  DType dtype;
  std::string_view name;
  int bits;
  Family family;
};

constexpr std::array<Row, kDTypeCount> kRows = {{
    {DType::none, "none", 0, Family::other},
    {DType::boolean, "bool", 0, Family::other},
    {DType::string, "string", 0, Family::other},
    {DType::fp16, "fp16", 16, Family::real},
    {DType::fp32, "fp32", 32, Family::real},
    {DType::fp64, "fp64", 64, Family::real},
    {DType::bf16, "bf16", 16, Family::real},
    {DType::int8, "int8", 8, Family::integer},
    {DType::int16, "int16", 16, Family::integer},
    {DType::int32, "int32", 32, Family::integer},
    {DType::int64, "int64", 64, Family::integer},
    {DType::uint8, "uint8", 8, Family::integer},
    {DType::uint16, "uint16", 16, Family::integer},
    {DType::uint32, "uint32", 32, Family::integer},
    {DType::uint64, "uint64", 64, Family::integer},
    {DType::int4, "int4", 4, Family::integer},
    {DType::uint1, "uint1", 1, Family::integer},
    {DType::uint2, "uint2", 2, Family::integer},
    {DType::uint3, "uint3", 3, Family::integer},
    {DType::uint4, "uint4", 4, Family::integer},
    {DType::uint6, "uint6", 6, Family::integer},
    {DType::fp8e4m3fn, "fp8e4m3fn", 8, Family::real},
    {DType::fp8e5m2, "fp8e5m2", 8, Family::real},
}};

constexpr bool rows_follow_the_enum() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].dtype) != i) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

// A dtype that was cast from an untrusted number reads as none.
const Row& row(DType dtype) {
  const auto i = static_cast<std::size_t>(dtype);
  return kRows[i < kRows.size() ? i : 0];
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }

DType dtype_from_name(std::string_view name) {
  for (std::size_t i = 1; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return kRows[i].dtype;
  }
  return DType::none;
}

int dtype_bits(DType dtype) { return row(dtype).bits; }
bool is_float(DType dtype) { return row(dtype).family == Family::real; }
bool is_integer(DType dtype) { return row(dtype).family == Family::integer; }

}  // namespace milgen
