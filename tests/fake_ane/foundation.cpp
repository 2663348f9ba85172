#include "foundation.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>

#include "exports.h"
#include "property_list.h"

namespace milgen::fake_ane {
namespace {

std::uint64_t hash_bytes(std::string_view bytes) { return std::hash<std::string_view>()(bytes); }

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The length of the UTF-8 character at the head of `text`; 0 when there is none. Well-formed as the
// Unicode standard has it: shortest form, no surrogates, nothing above U+10FFFF.
std::size_t character_size(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool too_long = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xed && byte(1) > 0x9f;
  const bool too_large = lead == 0xf4 && byte(1) > 0x8f;
  return too_long || surrogate || too_large ? 0 : size;
}

// The number of UTF-16 units of a text in UTF-8; nothing when it is not UTF-8.
std::optional<std::uint64_t> utf16_length(std::string_view text) {
  std::uint64_t length = 0;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size == 0) return std::nullopt;
    length += size == 4 ? 2 : 1;
    text.remove_prefix(size);
  }
  return length;
}

Ref<NsString> checked_string(std::string_view text) {
  return utf16_length(text) ? make_string(text) : nullptr;
}

}  // namespace

// NSString

bool NsString::is_equal(const Object& other) const {
  const auto* string = dynamic_cast<const NsString*>(&other);
  return string != nullptr && string->text_ == text_;
}
std::uint64_t NsString::hash() const { return hash_bytes(text_); }

namespace {

Ref<NsString> string_with_utf8(Class&, const char* text) {
  if (text != nullptr) return checked_string(text);
  trap("+[NSString stringWithUTF8String:] is given NULL");
  return nullptr;
}
const char* string_utf8(NsString& self) { return self.text().c_str(); }
std::uint64_t string_length(NsString& self) { return utf16_length(self.text()).value_or(0); }
bool string_is_equal(NsString& self, NsString* other) {
  return other != nullptr && self.is_equal(*other);
}

// What -init... answers in the receiver's place, which is released.
template <class T>
Object* replace_receiver(Object& self, Ref<T> made) {
  release(&self);
  return made.detach();
}

Object* string_init_bytes(NsString& self, const void* bytes, std::uint64_t size,
                          std::uint64_t encoding) {
  constexpr std::uint64_t kUtf8 = 4;  // NSUTF8StringEncoding
  const bool readable = encoding == kUtf8 && (bytes != nullptr || size == 0);
  return replace_receiver(
      self, readable ? checked_string({static_cast<const char*>(bytes), size}) : Ref<NsString>());
}

}  // namespace

// NSData

NsData::NsData(std::span<const std::byte> bytes) : own_(bytes.begin(), bytes.end()), bytes_(own_) {}
NsData::NsData(const void* bytes, std::size_t size, bool free_when_done)
    : bytes_(static_cast<const std::byte*>(bytes), size), free_when_done_(free_when_done) {}
NsData::~NsData() {
  if (free_when_done_) std::free(const_cast<std::byte*>(bytes_.data()));
}
bool NsData::is_equal(const Object& other) const {
  const auto* data = dynamic_cast<const NsData*>(&other);
  return data != nullptr && as_text(data->bytes_) == as_text(bytes_);
}
std::uint64_t NsData::hash() const { return bytes_.size(); }
std::string NsData::description() const {
  return "{length = " + std::to_string(bytes_.size()) + "}";
}

namespace {

bool is_readable(const Class& self, const char* method, const void* bytes, std::uint64_t size) {
  if (bytes != nullptr || size == 0) return true;
  trap("+[" + self.name() + " " + method + "] is given NULL for " + std::to_string(size) +
       " bytes");
  return false;
}
Ref<NsData> data_with_bytes(Class& self, const void* bytes, std::uint64_t size) {
  if (!is_readable(self, "dataWithBytes:length:", bytes, size)) return nullptr;
  return make<NsData>(std::span(static_cast<const std::byte*>(bytes), size));
}
Ref<NsData> data_no_copy(Class& self, const void* bytes, std::uint64_t size, bool free_when_done) {
  constexpr const char* kMethod = "dataWithBytesNoCopy:length:freeWhenDone:";
  if (!is_readable(self, kMethod, bytes, size)) return nullptr;
  return make<NsData>(bytes, size, free_when_done);
}
const void* data_bytes(NsData& self) { return self.bytes().data(); }
std::uint64_t data_length(NsData& self) { return self.bytes().size(); }

}  // namespace

// NSNumber

namespace {

/// As 64-bit Arm converts: what does not fit becomes the nearest that does, and NaN becomes 0.
template <class Integer>
Integer nearest(double value) {
  using Limits = std::numeric_limits<Integer>;
  if (std::isnan(value)) return 0;
  if (value <= static_cast<double>(Limits::min())) return Limits::min();
  // The greatest integer rounds up to the first double that does not fit.
  if (value >= static_cast<double>(Limits::max())) return Limits::max();
  return static_cast<Integer>(value);
}

}  // namespace

std::int64_t NsNumber::as_int64() const {
  return real_ ? nearest<std::int64_t>(*real_) : static_cast<std::int64_t>(bits_);
}
std::uint64_t NsNumber::as_uint64() const {
  // By way of the signed one, since a negative real number has no unsigned value in C++.
  if (real_ && *real_ < 0) return static_cast<std::uint64_t>(as_int64());
  return real_ ? nearest<std::uint64_t>(*real_) : bits_;
}
double NsNumber::as_double() const {
  if (real_) return *real_;
  return is_signed_ ? static_cast<double>(as_int64()) : static_cast<double>(bits_);
}
bool NsNumber::is_equal(const Object& other) const {
  const auto* number = dynamic_cast<const NsNumber*>(&other);
  if (number == nullptr) return false;
  if (real_ || number->real_) return as_double() == number->as_double();
  const bool both_fit = is_signed_ == number->is_signed_ || static_cast<std::int64_t>(bits_) >= 0;
  return both_fit && bits_ == number->bits_;
}
std::uint64_t NsNumber::hash() const { return std::hash<double>()(as_double()); }
std::string NsNumber::description() const {
  if (real_) return std::to_string(*real_);
  return is_signed_ ? std::to_string(as_int64()) : std::to_string(bits_);
}

namespace {

template <class T>
Ref<NsNumber> number_with(Class&, T value) {
  if constexpr (std::is_same_v<T, double>) {
    return make<NsNumber>(value);
  } else if constexpr (std::is_signed_v<T>) {
    return make<NsNumber>(std::int64_t{value});
  } else {
    return make<NsNumber>(std::uint64_t{value});
  }
}
template <class T>
T number_signed(NsNumber& self) {
  return static_cast<T>(self.as_int64());
}
template <class T>
T number_unsigned(NsNumber& self) {
  return static_cast<T>(self.as_uint64());
}
bool number_bool(NsNumber& self) { return self.as_double() != 0; }

}  // namespace

// NSArray

bool NsArray::is_equal(const Object& other) const {
  const auto* array = dynamic_cast<const NsArray*>(&other);
  return array != nullptr &&
         std::equal(items_.begin(), items_.end(), array->items_.begin(), array->items_.end(),
                    [](const Ref<Object>& a, const Ref<Object>& b) { return a->is_equal(*b); });
}
std::string NsArray::description() const {
  std::string all = "(";
  for (const Ref<Object>& item : items_) all += (all.size() == 1 ? "" : ", ") + item->description();
  return all + ")";
}
void NsMutableArray::add(Object* object) { items_.emplace_back(object); }

namespace {

// Traps unless each of `objects` is a live object.
bool are_objects(const char* method, Object* const* objects, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (objects == nullptr || objects[i] == nullptr || !is_live_object(objects[i])) {
      trap(std::string(method) + ": number " + std::to_string(i) + " of " + std::to_string(count) +
           " is not an object");
      return false;
    }
  }
  return true;
}

template <class T>
Ref<T> empty_collection(Class&) {
  return make<T>();
}
Ref<NsArray> array_with_objects(Class&, Object* const* objects, std::uint64_t count) {
  if (!are_objects("+[NSArray arrayWithObjects:count:]", objects, count)) return nullptr;
  std::vector<Ref<Object>> items;
  for (std::uint64_t i = 0; i < count; ++i) items.emplace_back(objects[i]);
  return make<NsArray>(std::move(items));
}
std::uint64_t array_count(NsArray& self) { return self.size(); }
Object* array_object(NsArray& self, std::uint64_t index) {
  if (index < self.size()) return self[index];
  trap("-[NSArray objectAtIndex:]: index " + std::to_string(index) + " is beyond the " +
       std::to_string(self.size()) + " objects");
  return nullptr;
}
void array_add(NsMutableArray& self, Object* object) {
  if (object != nullptr) return self.add(object);
  trap("-[NSMutableArray addObject:] is given nil");
}

}  // namespace

// NSDictionary

NsDictionary::NsDictionary(std::vector<Entry> entries) {
  for (Entry& entry : entries) put(std::move(entry));
}
NsDictionary::Entry* NsDictionary::find_entry(const Object& key) {
  for (Entry& entry : entries_) {
    if (entry.first->is_equal(key)) return &entry;
  }
  return nullptr;
}
void NsDictionary::put(Entry entry) {
  Entry* there = find_entry(*entry.first);
  if (there == nullptr) {
    entries_.push_back(std::move(entry));
  } else {
    there->second = std::move(entry.second);
  }
}
Object* NsDictionary::find(const Object& key) const {
  const Entry* found = const_cast<NsDictionary*>(this)->find_entry(key);
  return found == nullptr ? nullptr : found->second.get();
}
Object* NsDictionary::find(std::string_view key) const { return find(*make_string(key)); }
bool NsDictionary::is_equal(const Object& other) const {
  const auto* dictionary = dynamic_cast<const NsDictionary*>(&other);
  if (dictionary == nullptr || dictionary->size() != size()) return false;
  return std::all_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    const Object* value = dictionary->find(*entry.first);
    return value != nullptr && entry.second->is_equal(*value);
  });
}
std::string NsDictionary::description() const {
  std::string all = "{";
  for (const auto& [key, value] : entries_) {
    all += (all.size() == 1 ? "" : ", ") + key->description() + " = " + value->description();
  }
  return all + "}";
}
void NsMutableDictionary::set(Object* object, Object* key) { put({Ref(key), Ref(object)}); }

namespace {

Ref<NsDictionary> dictionary_with_objects(Class&, Object* const* objects, Object* const* keys,
                                          std::uint64_t count) {
  constexpr const char* kMethod = "+[NSDictionary dictionaryWithObjects:forKeys:count:]";
  if (!are_objects(kMethod, objects, count) || !are_objects(kMethod, keys, count)) return nullptr;
  std::vector<NsDictionary::Entry> entries;
  for (std::uint64_t i = 0; i < count; ++i) entries.emplace_back(Ref(keys[i]), Ref(objects[i]));
  return make<NsDictionary>(std::move(entries));
}
std::uint64_t dictionary_count(NsDictionary& self) { return self.size(); }
Object* dictionary_object(NsDictionary& self, Object* key) {
  return key == nullptr ? nullptr : self.find(*key);
}
Ref<NsArray> dictionary_keys(NsDictionary& self) {
  std::vector<Ref<Object>> keys;
  for (const auto& [key, value] : self.entries()) keys.push_back(key);
  return make<NsArray>(std::move(keys));
}
void dictionary_set(NsMutableDictionary& self, Object* object, Object* key) {
  if (object != nullptr && key != nullptr) return self.set(object, key);
  trap("-[NSMutableDictionary setObject:forKey:] is given nil");
}

}  // namespace

// NSURL

bool NsUrl::is_equal(const Object& other) const {
  const auto* url = dynamic_cast<const NsUrl*>(&other);
  return url != nullptr && url->path_ == path_;
}
std::uint64_t NsUrl::hash() const { return hash_bytes(path_); }

namespace {

Ref<NsUrl> make_url(NsString* path) {
  if (path == nullptr) {
    trap("+[NSURL fileURLWithPath:] is given nil");
    return nullptr;
  }
  std::string text = path->text();
  // -path has no slash at the end, whatever the URL was made from.
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return make<NsUrl>(std::move(text));
}
Ref<NsUrl> url_with_path(Class&, NsString* path) { return make_url(path); }
Ref<NsUrl> url_with_path_of_kind(Class&, NsString* path, bool /*is_directory*/) {
  return make_url(path);
}
Ref<NsString> url_path(NsUrl& self) { return make_string(self.path()); }

}  // namespace

// NSError

NsError::NsError(std::string domain, std::int64_t code, Ref<NsDictionary> user_info)
    : domain_(std::move(domain)),
      code_(code),
      user_info_(user_info ? std::move(user_info) : make<NsDictionary>()) {}
std::string NsError::localized_description() const {
  const auto* text = cast<NsString>(user_info_->find("NSLocalizedDescription"));
  if (text != nullptr) return text->text();
  return "The operation couldn\u2019t be completed. (" + domain_ + " error " +
         std::to_string(code_) + ".)";
}
std::string NsError::description() const {
  return "Error Domain=" + domain_ + " Code=" + std::to_string(code_) + " \"" +
         localized_description() + "\"";
}

namespace {

Ref<NsString> error_domain(NsError& self) { return make_string(self.domain()); }
std::int64_t error_code(NsError& self) { return self.code(); }
Ref<NsString> error_text(NsError& self) { return make_string(self.localized_description()); }
Object* error_user_info(NsError& self) { return self.user_info().get(); }
Ref<NsError> error_with(Class&, NsString* domain, std::int64_t code, NsDictionary* user_info) {
  if (domain == nullptr) {
    trap("+[NSError errorWithDomain:code:userInfo:]: the domain is nil");
    return nullptr;
  }
  return make<NsError>(domain->text(), code, Ref<NsDictionary>(user_info));
}

}  // namespace

// NSIndexSet

NsIndexSet::NsIndexSet(std::vector<std::uint64_t> indices) : indices_(std::move(indices)) {
  std::sort(indices_.begin(), indices_.end());
  indices_.erase(std::unique(indices_.begin(), indices_.end()), indices_.end());
}

namespace {

std::uint64_t index_set_count(NsIndexSet& self) { return self.indices().size(); }
std::uint64_t index_set_first(NsIndexSet& self) {
  return self.indices().empty() ? kNotFound : self.indices().front();
}
std::uint64_t index_set_after(NsIndexSet& self, std::uint64_t index) {
  const auto& all = self.indices();
  const auto found = std::upper_bound(all.begin(), all.end(), index);
  return found == all.end() ? kNotFound : *found;
}

// NSProcessInfo

class NsProcessInfo final : public Object {};

Ref<NsProcessInfo> process_info(Class&) { return make<NsProcessInfo>(); }
Ref<NsString> system_version(NsProcessInfo&) {
  return make_string("Version " + text(Key::kOs) + " (Build " + text(Key::kBuild) + ")");
}

// NSPropertyListSerialization

class NsPropertyListSerialization final : public Object {};

Ref<NsData> property_list_data(Class&, Object* list, std::uint64_t format,
                               std::uint64_t /*options*/, Object** error) {
  if (list == nullptr) {
    trap("+[NSPropertyListSerialization dataWithPropertyList:format:options:error:] is given nil");
    return nullptr;
  }
  const std::optional<std::string> bytes = write_property_list(*list, format);
  if (bytes) return make<NsData>(std::as_bytes(std::span(*bytes)));
  // NSPropertyListWriteInvalidError
  set_error(error, make_error("NSCocoaErrorDomain", 3852, "Property list invalid for format"));
  return nullptr;
}

// -description is NSObject's, but its answer is an NSString.
Ref<NsString> object_description(Object& self) { return make_string(self.description()); }

}  // namespace

Ref<NsString> make_string(std::string_view text) { return make<NsString>(std::string(text)); }
Ref<NsNumber> make_number(std::int64_t value) { return make<NsNumber>(value); }
Ref<NsArray> make_array(std::vector<Ref<Object>> items) { return make<NsArray>(std::move(items)); }
Ref<NsArray> make_array(const std::vector<std::string>& items) {
  std::vector<Ref<Object>> strings;
  for (const std::string& item : items) strings.push_back(make_string(item));
  return make_array(std::move(strings));
}
Ref<NsDictionary> make_dictionary(std::vector<std::pair<std::string, Ref<Object>>> entries) {
  std::vector<NsDictionary::Entry> objects;
  for (auto& [key, value] : entries) objects.emplace_back(make_string(key), std::move(value));
  return make<NsDictionary>(std::move(objects));
}
Ref<NsError> make_error(std::string domain, std::int64_t code, std::string_view description,
                        Ref<NsError> underlying) {
  std::vector<std::pair<std::string, Ref<Object>>> info;
  info.emplace_back("NSLocalizedDescription", make_string(description));
  if (underlying) info.emplace_back("NSUnderlyingError", std::move(underlying));
  return make<NsError>(std::move(domain), code, make_dictionary(std::move(info)));
}

void set_error(Object** error, const Ref<NsError>& value) {
  if (error != nullptr) *error = autorelease(Ref<NsError>(value).detach());
}

void define_foundation_classes() {
  ClassDefinition<Object>(*class_object<Object>).method<&object_description>("description");
  define_class<NsString>("NSString")
      .creatable()
      .class_method<&string_with_utf8>("stringWithUTF8String:")
      .method<&string_init_bytes>("initWithBytes:length:encoding:")
      .method<&string_utf8>("UTF8String")
      .method<&string_length>("length")
      .method<&string_is_equal>("isEqualToString:");
  define_class<NsData>("NSData")
      .class_method<&data_with_bytes>("dataWithBytes:length:")
      .class_method<&data_no_copy>("dataWithBytesNoCopy:length:freeWhenDone:")
      .method<&data_bytes>("bytes")
      .method<&data_length>("length");
  define_class<NsNumber>("NSNumber")
      .class_method<&number_with<int>>("numberWithInt:")
      .class_method<&number_with<unsigned>>("numberWithUnsignedInt:")
      .class_method<&number_with<long long>>("numberWithLongLong:")
      .class_method<&number_with<unsigned long long>>("numberWithUnsignedLongLong:")
      .class_method<&number_with<bool>>("numberWithBool:")
      .class_method<&number_with<double>>("numberWithDouble:")
      .method<&number_signed<long long>>("longLongValue")
      .method<&number_unsigned<unsigned long long>>("unsignedLongLongValue")
      .method<&number_signed<int>>("intValue")
      .method<&number_unsigned<unsigned>>("unsignedIntValue")
      .method<&number_bool>("boolValue")
      .method<&NsNumber::as_double>("doubleValue");
  define_class<NsArray>("NSArray")
      .creatable()
      .class_method<&empty_collection<NsArray>>("array")
      .class_method<&array_with_objects>("arrayWithObjects:count:")
      .method<&array_count>("count")
      .method<&array_object>("objectAtIndex:");
  define_class<NsMutableArray, NsArray>("NSMutableArray")
      .creatable()
      .class_method<&empty_collection<NsMutableArray>>("array")
      .method<&array_add>("addObject:");
  define_class<NsDictionary>("NSDictionary")
      .creatable()
      .class_method<&empty_collection<NsDictionary>>("dictionary")
      .class_method<&dictionary_with_objects>("dictionaryWithObjects:forKeys:count:")
      .method<&dictionary_count>("count")
      .method<&dictionary_object>("objectForKey:")
      .method<&dictionary_keys>("allKeys");
  define_class<NsMutableDictionary, NsDictionary>("NSMutableDictionary")
      .creatable()
      .class_method<&empty_collection<NsMutableDictionary>>("dictionary")
      .method<&dictionary_set>("setObject:forKey:");
  define_class<NsUrl>("NSURL")
      .class_method<&url_with_path>("fileURLWithPath:")
      .class_method<&url_with_path_of_kind>("fileURLWithPath:isDirectory:")
      .method<&url_path>("path");
  define_class<NsError>("NSError")
      .class_method<&error_with>("errorWithDomain:code:userInfo:")
      .method<&error_domain>("domain")
      .method<&error_code>("code")
      .method<&error_text>("localizedDescription")
      .method<&error_user_info>("userInfo");
  define_class<NsIndexSet>("NSIndexSet")
      .creatable()
      .method<&index_set_count>("count")
      .method<&index_set_first>("firstIndex")
      .method<&index_set_after>("indexGreaterThanIndex:");
  define_class<NsProcessInfo>("NSProcessInfo")
      .class_method<&process_info>("processInfo")
      .method<&system_version>("operatingSystemVersionString");
  define_class<NsPropertyListSerialization>("NSPropertyListSerialization")
      .class_method<&property_list_data>("dataWithPropertyList:format:options:error:");
}

}  // namespace milgen::fake_ane

using namespace milgen::fake_ane;

Object* NSTemporaryDirectory() {
  const char* folder = std::getenv("TMPDIR");
  std::string path = folder == nullptr || *folder == '\0' ? "/tmp" : folder;
  if (path.back() != '/') path += '/';
  return autorelease(make_string(path).detach());
}
