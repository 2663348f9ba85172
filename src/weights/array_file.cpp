#include "milgen/array_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "support/files.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "weights/blob_format.h"
#include "weights/convert.h"
#include "weights/tensor_file.h"

namespace milgen {
namespace {

using detail::NamedTensor;
using detail::SourceTensor;

bool fail(Rule rule, std::string message, const std::string& path, Diagnostics& diagnostics) {
  diagnostics.error(rule.id(), std::move(message), Place(path));
  return false;
}

bool allocate(DType dtype, const Shape& shape, const std::string& path, Array& array,
              Diagnostics& diagnostics) {
  array = Array(dtype, shape);
  if (array) return true;
  return fail(rule<"memory.limit">,
              fmt::format("there is no memory for {}", tensor_text(dtype, shape)), path,
              diagnostics);
}

/// The integer that is as wide as an element: what a copy does not look into.
DType bits_dtype(std::size_t size_bytes) {
  switch (size_bytes) {
    case 1:
      return DType::uint8;
    case 2:
      return DType::uint16;
    case 4:
      return DType::uint32;
    default:
      return DType::uint64;
  }
}

/// Any byte but 0 is true, as in C; an Array has 0 and 1 alone.
void settle_bools(Array& array) {
  for (std::uint8_t& value : array.as_mutable<std::uint8_t>()) value = value != 0 ? 1 : 0;
}

bool copy_values(const SourceTensor& tensor, const std::string& path, Array& array,
                 Diagnostics& diagnostics) {
  if (!allocate(tensor.dtype, tensor.shape, path, array, diagnostics)) return false;
  SourceTensor bits = tensor;
  bits.dtype = bits_dtype(element_bytes(tensor.dtype));
  MemorySink sink(array.mutable_bytes());
  const WeightRequest request{.name = path, .dtype = bits.dtype, .shape = tensor.shape};
  if (!detail::write_tensor(bits, request, false, {}, path, sink, diagnostics)) return false;
  if (tensor.dtype == DType::boolean) settle_bools(array);
  return true;
}

/// `what` is how the sentence calls the array.
bool refuse_dtype(std::string_view format, std::string_view what, const Array& array,
                  const std::string& path, Diagnostics& diagnostics) {
  return fail(rule<"array.dtype">,
              fmt::format("{} is {}, and {} has no such elements", what,
                          tensor_text(array.dtype(), array.shape()), format),
              path, diagnostics);
}

/// Raw files and what is read back from them have whole bytes, all of whose values count.
bool is_raw(DType dtype) { return dtype == DType::boolean || dtype_bits(dtype) >= 8; }

bool write_pieces(const std::string& path, std::span<const std::byte> head,
                  std::span<const NamedArray* const> arrays, Diagnostics& diagnostics) {
  AtomicFile file;
  if (!file.open(path, diagnostics) || !file.write(head, diagnostics)) return false;
  for (const NamedArray* named : arrays) {
    if (!file.write(named->array.bytes(), diagnostics)) return false;
  }
  return file.commit(diagnostics);
}

bool read_tensors(const std::string& path, const std::span<const std::string_view>* names,
                  std::vector<NamedArray>& arrays, Diagnostics& diagnostics) {
  arrays.clear();
  MappedFile file;
  std::vector<NamedTensor> tensors;
  if (!file.open(path, diagnostics) ||
      !detail::parse_safetensors(file.bytes(), path, tensors, diagnostics)) {
    return false;
  }
  for (const NamedTensor& named : tensors) {
    if (names != nullptr && std::ranges::find(*names, named.name) == names->end()) continue;
    if (named.tensor.dtype == DType::none) {
      return fail(rule<"safetensors.dtype">,
                  fmt::format("tensor '{}' has elements of '{}', which are not read",
                              printable(named.name), printable(named.tensor.foreign_dtype, 20)),
                  path, diagnostics);
    }
    NamedArray& array = arrays.emplace_back();
    array.name = named.name;
    if (!copy_values(named.tensor, path, array.array, diagnostics)) return false;
  }
  return true;
}

}  // namespace

bool read_npy(const std::string& path, Array& array, Diagnostics& diagnostics) {
  MappedFile file;
  SourceTensor tensor;
  return file.open(path, diagnostics) &&
         detail::parse_npy(file.bytes(), path, tensor, diagnostics) &&
         copy_values(tensor, path, array, diagnostics);
}

bool write_npy(const std::string& path, const Array& array, Diagnostics& diagnostics) {
  const std::string header = detail::npy_header(array.dtype(), array.shape());
  if (header.empty()) return refuse_dtype("numpy", "the array", array, path, diagnostics);
  const NamedArray named{{}, array};
  const NamedArray* const pieces[] = {&named};
  return write_pieces(path, std::as_bytes(std::span(header)), pieces, diagnostics);
}

bool read_safetensors(const std::string& path, std::span<const std::string_view> names,
                      std::vector<NamedArray>& arrays, Diagnostics& diagnostics) {
  return read_tensors(path, &names, arrays, diagnostics);
}

bool read_safetensors(const std::string& path, std::vector<NamedArray>& arrays,
                      Diagnostics& diagnostics) {
  return read_tensors(path, nullptr, arrays, diagnostics);
}

bool write_safetensors(const std::string& path, std::span<const NamedArray> arrays,
                       Diagnostics& diagnostics) {
  std::vector<const NamedArray*> order;
  for (const NamedArray& named : arrays) {
    if (detail::safetensors_dtype(named.array.dtype()).empty()) {
      return refuse_dtype("safetensors", fmt::format("'{}'", printable(named.name)), named.array,
                          path, diagnostics);
    }
    order.push_back(&named);
  }
  // Wide elements first, so that all of them are aligned without holes, which the format forbids.
  std::ranges::stable_sort(order, std::ranges::greater(), [](const NamedArray* named) {
    return element_bytes(named->array.dtype());
  });
  auto header = nlohmann::ordered_json::object();
  std::uint64_t offset = 0;
  for (const NamedArray* named : order) {
    auto& entry = header[named->name];
    entry["dtype"] = detail::safetensors_dtype(named->array.dtype());
    entry["shape"] = std::span(named->array.shape().data(), named->array.shape().size());
    const std::uint64_t end = offset + named->array.bytes().size();
    entry["data_offsets"] = {offset, end};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::vector<std::byte> head(8 + text.size());
  detail::store_little(head.data(), std::uint64_t{text.size()});
  std::memcpy(head.data() + 8, text.data(), text.size());
  return write_pieces(path, head, order, diagnostics);
}

bool read_raw(const std::string& path, DType dtype, const Shape& shape, Array& array,
              Diagnostics& diagnostics) {
  MappedFile file;
  if (!file.open(path, diagnostics)) return false;
  SourceTensor tensor;
  tensor.dtype = dtype;
  tensor.shape = shape;
  tensor.bytes = file.bytes();
  if (!is_raw(dtype)) {
    return fail(rule<"array.dtype">,
                fmt::format("a raw file has no elements of {}", tensor_text(dtype, shape)), path,
                diagnostics);
  }
  if (!detail::takes_bytes(tensor, tensor.bytes.size())) {
    return fail(rule<"array.size">,
                fmt::format("{} takes {}, but the file has {}", tensor_text(dtype, shape),
                            detail::wanted_bytes_text(tensor), tensor.bytes.size()),
                path, diagnostics);
  }
  return copy_values(tensor, path, array, diagnostics);
}

bool write_raw(const std::string& path, const Array& array, Diagnostics& diagnostics) {
  if (!is_raw(array.dtype())) {
    return refuse_dtype("a raw file", "the array", array, path, diagnostics);
  }
  const NamedArray named{{}, array};
  const NamedArray* const pieces[] = {&named};
  return write_pieces(path, {}, pieces, diagnostics);
}

}  // namespace milgen
