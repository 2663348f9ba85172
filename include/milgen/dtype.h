// Element types, spelled as MIL spells them.
#pragma once

#include <cstdint>
#include <string_view>

namespace milgen {

/// Every scalar word of MIL text (mil_text_format, section 2).
enum class DType : std::uint8_t {
  none,  ///< no element type: a list, a state, a poisoned value
  boolean,
  string,
  fp16,
  fp32,
  fp64,
  bf16,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  int4,
  uint1,
  uint2,
  uint3,
  uint4,
  uint6,
  fp8e4m3fn,
  fp8e5m2,
};

inline constexpr int kDTypeCount = 23;

/// The word that MIL text uses: "fp16", "bool", "uint4" ...; "none" for DType::none.
std::string_view dtype_name(DType dtype);

/// The dtype that MIL text spells `name`; DType::none when there is no such word.
DType dtype_from_name(std::string_view name);

/// Bits of one element as a weight file packs it; 0 for none, string, and bool (which has no
/// weight-file form).
int dtype_bits(DType dtype);

bool is_float(DType dtype);
bool is_integer(DType dtype);

/// A set of dtypes: one bit per DType.
class DTypeSet {
 public:
  constexpr DTypeSet() = default;
  template <class... D>
  constexpr explicit(false) DTypeSet(DType first, D... rest)
      : bits_(bit(first) | (0u | ... | bit(rest))) {}
  constexpr bool has(DType d) const { return (bits_ & bit(d)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr std::uint32_t bits() const { return bits_; }
  constexpr DTypeSet operator|(DTypeSet other) const {
    DTypeSet out;
    out.bits_ = bits_ | other.bits_;
    return out;
  }
  friend constexpr bool operator==(DTypeSet, DTypeSet) = default;

 private:
  static constexpr std::uint32_t bit(DType d) { return 1u << static_cast<unsigned>(d); }
  std::uint32_t bits_ = 0;
};

// The tags of Tensor<T>. `bool` is C++'s own word and is its own tag.
struct fp16 {};
struct fp32 {};
struct fp64 {};
struct bf16 {};
struct int8 {};
struct int16 {};
struct int32 {};
struct int64 {};
struct uint8 {};
struct uint16 {};
struct uint32 {};
struct uint64 {};
struct int4 {};
struct uint1 {};
struct uint2 {};
struct uint3 {};
struct uint4 {};
struct uint6 {};

template <class T>
inline constexpr DType dtype_of = DType::none;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;
template <>
inline constexpr DType dtype_of<fp16> = DType::fp16;
template <>
inline constexpr DType dtype_of<fp32> = DType::fp32;
template <>
inline constexpr DType dtype_of<fp64> = DType::fp64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<int8> = DType::int8;
template <>
inline constexpr DType dtype_of<int16> = DType::int16;
template <>
inline constexpr DType dtype_of<int32> = DType::int32;
template <>
inline constexpr DType dtype_of<int64> = DType::int64;
template <>
inline constexpr DType dtype_of<uint8> = DType::uint8;
template <>
inline constexpr DType dtype_of<uint16> = DType::uint16;
template <>
inline constexpr DType dtype_of<uint32> = DType::uint32;
template <>
inline constexpr DType dtype_of<uint64> = DType::uint64;
template <>
inline constexpr DType dtype_of<int4> = DType::int4;
template <>
inline constexpr DType dtype_of<uint1> = DType::uint1;
template <>
inline constexpr DType dtype_of<uint2> = DType::uint2;
template <>
inline constexpr DType dtype_of<uint3> = DType::uint3;
template <>
inline constexpr DType dtype_of<uint4> = DType::uint4;
template <>
inline constexpr DType dtype_of<uint6> = DType::uint6;

/// T is one of the listed tags. A variable, not a fold of same_as: the compiler then names the
/// tag that was refused instead of printing the fold.
template <class T, class... Allowed>
inline constexpr bool is_one_of = (__is_same(T, Allowed) || ...);
template <class T, class... Allowed>
concept OneOf = is_one_of<T, Allowed...>;

}  // namespace milgen
