#include "backend/ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen {
namespace {

std::string name_list(const Ports& ports) {
  std::string names;
  for (const TensorSpec& spec : ports.specs()) {
    names += (names.empty() ? "" : ", ") + printable(spec.name);
  }
  return names.empty() ? "none at all" : names;
}

std::string text_of(const TensorSpec& spec) { return tensor_text(spec.dtype, spec.shape); }

/// Reports given arrays that are for no input, and for one that has an array already.
bool check_names(const Ports& inputs, std::span<const NamedArray> given, std::string_view file,
                 const std::vector<std::size_t>& at, Diagnostics& diagnostics) {
  bool ok = true;
  const auto refuse = [&](std::string message) {
    diagnostics.error(rule<"run.input">.id(), std::move(message), Place(std::string(file)));
    ok = false;
  };
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string& name = given[i].name;
    const std::size_t port = inputs.find(name);
    if (port == Ports::kNone) {
      refuse(fmt::format("there is no input {}, only {}", printable(name), name_list(inputs)));
    } else if (at[port] != i) {
      refuse(fmt::format("input {} is given twice", printable(name)));
    }
  }
  return ok;
}

}  // namespace

Ports::Ports(std::vector<TensorSpec> specs, std::vector<Place> places)
    : specs_(std::move(specs)), places_(std::move(places)), by_name_(specs_.size()) {
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::ranges::sort(by_name_, {},
                    [this](std::size_t port) -> std::string_view { return specs_[port].name; });
}

std::size_t Ports::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(
      by_name_, name, {},
      [this](std::size_t port) -> std::string_view { return specs_[port].name; });
  return found != by_name_.end() && specs_[*found].name == name ? *found : kNone;
}

void Ports::locate(std::span<const NamedArray> arrays, std::vector<std::size_t>& at) const {
  at.assign(size(), kNone);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::size_t port = find(arrays[i].name);
    if (port != kNone && at[port] == kNone) at[port] = i;
  }
}

bool shape_fits(const Shape& declared, const Shape& given) {
  return std::ranges::equal(declared, given, [](std::int64_t dim, std::int64_t given_dim) {
    return dim < 0 || dim == given_dim;
  });
}

bool match_inputs(const Ports& inputs, std::span<const NamedArray> given, std::string_view file,
                  std::vector<std::size_t>& at, Diagnostics& diagnostics) {
  inputs.locate(given, at);
  bool ok = check_names(inputs, given, file, at, diagnostics);
  for (std::size_t port = 0; port < inputs.size(); ++port) {
    if (at[port] != Ports::kNone) {
      ok &= check_given("input", inputs, port, given[at[port]].array, diagnostics);
      continue;
    }
    ok = false;
    const TensorSpec& spec = inputs.spec(port);
    diagnostics.error(
        rule<"run.input">.id(),
        fmt::format("input {} is {} and was not given", printable(spec.name), text_of(spec)),
        inputs.place(port));
  }
  return ok;
}

bool check_given(std::string_view kind, const Ports& ports, std::size_t port, const Array& array,
                 Diagnostics& diagnostics) {
  const TensorSpec& spec = ports.spec(port);
  if (array.dtype() == spec.dtype && shape_fits(spec.shape, array.shape())) return true;
  diagnostics.error(rule<"run.input">.id(),
                    fmt::format("{} {} is {} but what was given is {}", kind, printable(spec.name),
                                text_of(spec), tensor_text(array.dtype(), array.shape())),
                    ports.place(port));
  return false;
}

bool check_output(const Ports& outputs, std::size_t port, const Shape& shape, const Array& array,
                  Diagnostics& diagnostics) {
  const TensorSpec& spec = outputs.spec(port);
  if (array.dtype() == spec.dtype && shape_fits(shape, array.shape())) return true;
  diagnostics.error(
      rule<"run.output">.id(),
      fmt::format("output {} is {} but the array for it is {}", printable(spec.name),
                  tensor_text(spec.dtype, shape), tensor_text(array.dtype(), array.shape())),
      outputs.place(port));
  return false;
}

}  // namespace milgen
