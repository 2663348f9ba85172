#include "milgen/shape.h"

#include <algorithm>

namespace milgen {

void Ints::grow(std::size_t count) {
  if (count <= capacity_) return;
  const std::size_t wanted = std::max<std::size_t>(count, std::size_t{capacity_} * 2);
  auto* bigger = new std::int64_t[wanted];
  std::copy(data(), data() + size_, bigger);
  delete[] heap_;
  heap_ = bigger;
  capacity_ = static_cast<std::uint32_t>(wanted);
}

void Ints::assign_slow(const std::int64_t* values, std::size_t count) {
  if (count > capacity_) {
    // The source may lie in the block that is given up, so it is copied before that happens.
    auto* bigger = new std::int64_t[count];
    std::copy(values, values + count, bigger);
    delete[] heap_;
    heap_ = bigger;
    capacity_ = static_cast<std::uint32_t>(count);
  } else {
    std::copy(values, values + count, data());
  }
  size_ = static_cast<std::uint32_t>(count);
}

void Ints::push_back(std::int64_t value) {
  if (size_ == capacity_) grow(std::size_t{size_} + 1);
  data()[size_++] = value;
}

void Ints::resize(std::size_t count, std::int64_t value) {
  grow(count);
  if (count > size_) std::fill(data() + size_, data() + count, value);
  size_ = static_cast<std::uint32_t>(count);
}

void Ints::erase(std::size_t index) {
  if (index >= size_) return;
  std::copy(data() + index + 1, data() + size_, data() + index);
  --size_;
}

void Ints::insert(std::size_t index, std::int64_t value) {
  index = std::min<std::size_t>(index, size_);
  push_back(value);
  std::rotate(data() + index, data() + size_ - 1, data() + size_);
}

std::string to_string(const Ints& values) {
  std::string out = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ", ";
    if (values[i] < 0) {
      out += '?';
    } else {
      out += std::to_string(values[i]);
    }
  }
  out += ']';
  return out;
}

bool element_count(std::span<const std::int64_t> shape, std::int64_t& count) {
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return false;
    empty = empty || dim == 0;
  }
  if (empty) {
    count = 0;
    return true;
  }
  std::int64_t product = 1;
  for (const std::int64_t dim : shape) {
    if (__builtin_mul_overflow(product, dim, &product)) return false;
  }
  count = product;
  return true;
}

}  // namespace milgen
