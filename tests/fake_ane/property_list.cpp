#include "property_list.h"

#include <bit>
#include <string_view>
#include <vector>

#include "foundation.h"

namespace milgen::fake_ane {
namespace {

constexpr std::uint64_t kXmlFormat = 100;     // NSPropertyListXMLFormat_v1_0
constexpr std::uint64_t kBinaryFormat = 200;  // NSPropertyListBinaryFormat_v1_0

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < there ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= there ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

// False when `list` holds something that no property list can.
bool append_xml(Object& list, const std::string& indent, std::string& out) {
  if (const auto* string = cast<NsString>(&list)) {
    out += indent + "<string>" + escaped(string->text()) + "</string>\n";
  } else if (const auto* number = cast<NsNumber>(&list)) {
    const std::string_view tag = number->is_real() ? "real" : "integer";
    out += indent + "<" + std::string(tag) + ">" + number->description() + "</" + std::string(tag) +
           ">\n";
  } else if (const auto* data = cast<NsData>(&list)) {
    out += indent + "<data>\n" + indent + base64(data->bytes()) + "\n" + indent + "</data>\n";
  } else if (const auto* array = cast<NsArray>(&list)) {
    out += indent + "<array>\n";
    for (const Ref<Object>& item : array->items()) {
      if (!append_xml(*item, indent + "\t", out)) return false;
    }
    out += indent + "</array>\n";
  } else if (const auto* dictionary = cast<NsDictionary>(&list)) {
    out += indent + "<dict>\n";
    for (const auto& [key, value] : dictionary->entries()) {
      const auto* name = cast<NsString>(key.get());
      if (name == nullptr) return false;
      out += indent + "\t<key>" + escaped(name->text()) + "</key>\n";
      if (!append_xml(*value, indent + "\t", out)) return false;
    }
    out += indent + "</dict>\n";
  } else {
    return false;
  }
  return true;
}

std::optional<std::string> write_xml(Object& list) {
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
      "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
      "<plist version=\"1.0\">\n";
  if (!append_xml(list, "", out)) return std::nullopt;
  return out + "</plist>\n";
}

// The binary format, as CoreFoundation's source describes it (CFBinaryPList.c): a magic, the
// objects, the offset of each, and a trailer of 32 bytes. A collection holds the numbers of its
// objects.
class BinaryWriter {
 public:
  std::optional<std::string> write(Object& list) {
    collect(list);
    out_ = "bplist00";
    std::vector<std::size_t> offsets;
    for (Object* object : objects_) {
      offsets.push_back(out_.size());
      if (!append_object(*object)) return std::nullopt;
    }
    const std::size_t table = out_.size();
    for (const std::size_t offset : offsets) append_big_endian(offset, kOffsetSize);
    out_.append(6, '\0');
    append_big_endian(kOffsetSize, 1);
    append_big_endian(kReferenceSize, 1);
    append_big_endian(objects_.size(), 8);
    append_big_endian(0, 8);
    append_big_endian(table, 8);
    return out_;
  }

 private:
  static constexpr std::size_t kOffsetSize = 8;
  static constexpr std::size_t kReferenceSize = 4;

  // Numbers `list` and all in it, each collection before what it holds.
  void collect(Object& list) {
    objects_.push_back(&list);
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      first_child_.push_back(objects_.size());
      if (const auto* array = cast<NsArray>(objects_[i])) {
        for (const Ref<Object>& item : array->items()) objects_.push_back(item.get());
      } else if (const auto* dictionary = cast<NsDictionary>(objects_[i])) {
        for (const auto& [key, value] : dictionary->entries()) objects_.push_back(key.get());
        for (const auto& [key, value] : dictionary->entries()) objects_.push_back(value.get());
      }
    }
  }

  void append_big_endian(std::uint64_t value, std::size_t size) {
    for (std::size_t i = size; i-- > 0;) out_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  void append_integer(std::uint64_t value) {
    out_ += '\x13';  // 8 bytes
    append_big_endian(value, 8);
  }
  void append_head(unsigned kind, std::size_t count) {
    constexpr std::size_t kLongCount = 15;
    out_ += static_cast<char>(kind << 4 | std::min(count, kLongCount));
    if (count >= kLongCount) append_integer(count);
  }
  void append_children(std::size_t first, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) append_big_endian(first + i, kReferenceSize);
  }

  bool append_object(Object& object) {
    const std::size_t children = first_child_[next_++];
    if (const auto* string = cast<NsString>(&object)) {
      append_string(string->text());
    } else if (const auto* number = cast<NsNumber>(&object)) {
      append_number(*number);
    } else if (const auto* data = cast<NsData>(&object)) {
      append_head(0x4, data->bytes().size());
      out_.append(reinterpret_cast<const char*>(data->bytes().data()), data->bytes().size());
    } else if (const auto* array = cast<NsArray>(&object)) {
      append_head(0xa, array->size());
      append_children(children, array->size());
    } else if (const auto* dictionary = cast<NsDictionary>(&object)) {
      append_head(0xd, dictionary->size());
      append_children(children, 2 * dictionary->size());
      for (const auto& [key, value] : dictionary->entries()) {
        if (cast<NsString>(key.get()) == nullptr) return false;
      }
    } else {
      return false;
    }
    return true;
  }

  void append_number(const NsNumber& number) {
    if (!number.is_real()) return append_integer(number.as_uint64());
    out_ += '\x23';  // 8 bytes
    append_big_endian(std::bit_cast<std::uint64_t>(number.as_double()), 8);
  }

  // ASCII as it is, everything else as UTF-16. An NsString holds well-formed UTF-8.
  void append_string(std::string_view text) {
    std::vector<std::uint32_t> units;
    bool ascii = true;
    for (std::size_t i = 0; i < text.size();) {
      const auto lead = static_cast<unsigned char>(text[i]);
      const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      std::uint32_t point = size == 1 ? lead : lead & (0xffU >> (size + 1));
      for (std::size_t k = 1; k < size && i + k < text.size(); ++k) {
        point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
      }
      i += size;
      ascii = ascii && size == 1;
      if (point > 0xffff) {
        units.push_back(0xd800 + ((point - 0x10000) >> 10));
        units.push_back(0xdc00 + ((point - 0x10000) & 0x3ff));
      } else {
        units.push_back(point);
      }
    }
    append_head(ascii ? 0x5 : 0x6, units.size());
    for (const std::uint32_t unit : units) append_big_endian(unit, ascii ? 1 : 2);
  }

  std::vector<Object*> objects_;
  std::vector<std::size_t> first_child_;  // of objects_[i], where it is a collection
  std::size_t next_ = 0;                  // the number of the object to write
  std::string out_;
};

}  // namespace

std::optional<std::string> write_property_list(Object& list, std::uint64_t format) {
  if (format == kXmlFormat) return write_xml(list);
  if (format == kBinaryFormat) return BinaryWriter().write(list);
  return std::nullopt;
}

}  // namespace milgen::fake_ane
