// The Foundation classes of the fake engine, for C++: their contents, and how to make them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "objc.h"

namespace milgen::fake_ane {

class NsString final : public Object {
 public:
  NsString() = default;
  explicit NsString(std::string text) : text_(std::move(text)) {}
  const std::string& text() const { return text_; }

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override;
  std::string description() const override { return text_; }

 private:
  std::string text_;
};

class NsData final : public Object {
 public:
  // Copies.
  explicit NsData(std::span<const std::byte> bytes);
  // Keeps the pointer; calls free() in the end when told to.
  NsData(const void* bytes, std::size_t size, bool free_when_done);
  ~NsData() override;

  std::span<const std::byte> bytes() const { return bytes_; }

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override;
  std::string description() const override;

 private:
  std::vector<std::byte> own_;
  std::span<const std::byte> bytes_;
  bool free_when_done_ = false;
};

class NsNumber final : public Object {
 public:
  explicit NsNumber(std::int64_t value) : bits_(static_cast<std::uint64_t>(value)) {}
  explicit NsNumber(std::uint64_t value) : bits_(value), is_signed_(false) {}
  explicit NsNumber(double value) : real_(value) {}

  std::int64_t as_int64() const;
  std::uint64_t as_uint64() const;
  double as_double() const;
  bool is_real() const { return real_.has_value(); }

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override;
  std::string description() const override;

 private:
  std::uint64_t bits_ = 0;
  bool is_signed_ = true;
  std::optional<double> real_;
};

class NsArray : public Object {
 public:
  NsArray() = default;
  explicit NsArray(std::vector<Ref<Object>> items) : items_(std::move(items)) {}
  const std::vector<Ref<Object>>& items() const { return items_; }
  std::size_t size() const { return items_.size(); }
  Object* operator[](std::size_t index) const { return items_[index].get(); }

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override { return items_.size(); }
  std::string description() const override;

 protected:
  std::vector<Ref<Object>> items_;
};

class NsMutableArray final : public NsArray {
 public:
  using NsArray::NsArray;
  void add(Object* object);
};

// Keys are compared by content (-isEqual:), in the order in which they came.
class NsDictionary : public Object {
 public:
  using Entry = std::pair<Ref<Object>, Ref<Object>>;

  NsDictionary() = default;
  // A later entry takes the place of an earlier one with the same key.
  explicit NsDictionary(std::vector<Entry> entries);
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  // Null when there is none.
  Object* find(const Object& key) const;
  Object* find(std::string_view key) const;

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override { return entries_.size(); }
  std::string description() const override;

 protected:
  void put(Entry entry);

 private:
  Entry* find_entry(const Object& key);
  std::vector<Entry> entries_;
};

class NsMutableDictionary final : public NsDictionary {
 public:
  using NsDictionary::NsDictionary;
  void set(Object* object, Object* key);
};

class NsUrl final : public Object {
 public:
  explicit NsUrl(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  bool is_equal(const Object& other) const override;
  std::uint64_t hash() const override;
  std::string description() const override { return "file://" + path_; }

 private:
  std::string path_;
};

class NsError final : public Object {
 public:
  NsError(std::string domain, std::int64_t code, Ref<NsDictionary> user_info);
  const std::string& domain() const { return domain_; }
  std::int64_t code() const { return code_; }
  // NSLocalizedDescription of the user info, or a text made of domain and code.
  std::string localized_description() const;
  const Ref<NsDictionary>& user_info() const { return user_info_; }

  std::string description() const override;

 private:
  std::string domain_;
  std::int64_t code_;
  Ref<NsDictionary> user_info_;
};

class NsIndexSet final : public Object {
 public:
  NsIndexSet() = default;
  // Sorts, and drops what is there twice.
  explicit NsIndexSet(std::vector<std::uint64_t> indices);
  const std::vector<std::uint64_t>& indices() const { return indices_; }

 private:
  std::vector<std::uint64_t> indices_;
};

// What -firstIndex answers for an empty set (NSNotFound).
constexpr std::uint64_t kNotFound = 0x7fffffffffffffff;

Ref<NsString> make_string(std::string_view text);
Ref<NsNumber> make_number(std::int64_t value);
Ref<NsArray> make_array(std::vector<Ref<Object>> items);
// Of strings.
Ref<NsArray> make_array(const std::vector<std::string>& items);
Ref<NsDictionary> make_dictionary(std::vector<std::pair<std::string, Ref<Object>>> entries);
// An error with NSLocalizedDescription; `underlying` (may be nil) goes under NSUnderlyingError.
Ref<NsError> make_error(std::string domain, std::int64_t code, std::string_view description,
                        Ref<NsError> underlying = nullptr);

// Writes the error, autoreleased, to *error unless `error` is null.
void set_error(Object** error, const Ref<NsError>& value);

}  // namespace milgen::fake_ane
