// What the generated op functions are made of. Authors call those; code that knows an op's name
// only at run time calls this.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "milgen/op_code.h"
#include "milgen/value.h"

namespace milgen {

class Block;
class Kernel;
struct OpInfo;
struct OpScratch;   // internal: where arguments are collected
struct OpArgument;  // internal

/// Collects the arguments of one op, then checks it and adds it to the graph. Arguments are named
/// as MIL names them; those that are left out and whose default is not "absent" are written out as
/// constants, because Apple's compiler wants them (op_semantics, first paragraph). One is filled
/// and built before the next is begun.
class OpBuilder {
 public:
  /// The kernel is that of the first value that is given; values of two kernels are reported.
  explicit OpBuilder(OpCode code, Loc loc);
  /// For ops that may have no value among their arguments (fill, range_1d).
  OpBuilder(OpCode code, Kernel& kernel, Loc loc);
  OpBuilder(const OpBuilder&) = delete;
  OpBuilder& operator=(const OpBuilder&) = delete;
  ~OpBuilder();

  /// A value that was not given() leaves the argument out.
  void operand(std::string_view param, Value value);
  template <class T>
  void operands(std::string_view param, std::span<const Tensor<T>> values) {
    for (const Tensor<T>& value : values) element(param, value);
  }
  void element(std::string_view param, Value value);  ///< the next one of a variadic argument
  void integer(std::string_view param, std::int64_t value);
  void integers(std::string_view param, const Ints& values);
  void extents(std::string_view param, const Extents& values);
  /// In the dtype of the argument's domain.
  void real(std::string_view param, double value);
  /// In a dtype that the caller names: where no tensor argument settles the domain.
  void number(std::string_view param, DType dtype, double value);
  void boolean(std::string_view param, bool value);
  void booleans(std::string_view param, const Ints& values);
  void text(std::string_view param, std::string_view value);
  void dtype(std::string_view param, DType value);
  /// The next nested block of cond or while_loop, closed, made where the op is made.
  void block(const Block& value);

  /// Checks the op, adds it, and returns its result `index`; poison when it was refused.
  Value result(std::size_t index = 0);
  std::size_t result_count();

  template <class T>
  Tensor<T> tensor(std::size_t index = 0) {
    return Tensor<T>::unchecked(result(index));
  }
  template <class T>
  Tensors<T> tensors() {
    return Tensors<T>(builder_, result_ids());
  }
  Values values() { return Values(builder_, result_ids()); }

 private:
  friend class Builder;
  void take_builder(Value value);
  OpArgument& add(std::string_view param);
  std::uint16_t index_of(std::string_view param);
  void build();
  std::vector<std::uint32_t> result_ids();

  OpCode code_;
  /// Names mostly come in the order of the op's row: where the next one is looked for first.
  std::uint16_t next_param_ = 0;
  std::uint16_t last_param_ = 0;
  bool sorted_ = true;
  bool unknown_ = false;  // a name among the arguments is not the op's
  Loc loc_;
  const OpInfo* info_;
  OpScratch* scratch_;
  Builder* builder_ = nullptr;
  bool built_ = false;
  bool poisoned_ = false;
  bool mixed_ = false;
  std::uint32_t first_result_ = 0xFFFFFFFFu;
  std::uint32_t results_ = 0;
  static constexpr std::uint32_t kMostBlocks = 3;  // one more than any op takes
  std::uint32_t blocks_[kMostBlocks] = {};
  std::uint32_t block_count_ = 0;
  std::size_t first_argument_;
};

}  // namespace milgen
