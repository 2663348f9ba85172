// Program: a finished MIL program, read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/fill.h"
#include "milgen/op_info.h"
#include "milgen/shape.h"

namespace milgen {

struct ProgramData;  // internal

/// The version of the canonical form: the order and the names of a program's ops, and the order of
/// its weights. Golden files depend on it; a change is an entry in CHANGELOG.md.
inline constexpr int kCanonicalVersion = 1;

/// An input or an output. Of a state, dtype and shape are those of what it holds; a dictionary has
/// neither.
struct PortInfo {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  bool is_state = false;
  Loc declared;
};

/// Values that a program keeps in a weight file.
struct WeightInfo {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  Fill fill = Fill::uniform;
  /// The kernel itself says what the values are (a mask, a literal); no source is asked for them.
  bool own_values = false;
  /// The name was derived by the canonical walk and may be another program's too.
  bool derived_name = false;
  Loc declared;
};

/// Cheap to copy: the program behind it is shared and never changes.
class Program {
 public:
  Program() = default;
  /// Takes over a reference that the caller holds.
  explicit Program(const ProgramData* data) : data_(data) {}
  Program(const Program& other);
  Program(Program&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Program& operator=(Program other) noexcept {
    const ProgramData* mine = data_;
    data_ = other.data_;
    other.data_ = mine;
    return *this;
  }
  ~Program();

  /// False for the program of a kernel that had errors; everything else is then empty.
  explicit operator bool() const { return data_ != nullptr; }
  std::string_view name() const;
  Opset opset() const;
  /// In declared order.
  std::vector<PortInfo> inputs() const;
  std::vector<PortInfo> outputs() const;
  /// In the order of their first use in the text.
  std::vector<WeightInfo> weights() const;
  /// Ops that are printed, constants included.
  std::size_t op_count() const;
  /// Where in C++ the value that the text calls `name` was made; a null file when there is none.
  Loc location_of(std::string_view name) const;

  const ProgramData& data() const { return *data_; }

 private:
  const ProgramData* data_ = nullptr;
};

}  // namespace milgen
