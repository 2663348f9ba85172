#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <istream>
#include <iterator>
#include <map>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/json.h"
#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// What MIL texts near a weight file say about its records: a weight file itself knows no names and
/// no shapes. Key: file name and record offset.
using BlobUses = std::map<std::pair<std::string, std::uint64_t>, WeightReference>;

/// The text between `open` and the next `close` behind `at`, which moves behind it.
std::string_view between(std::string_view text, std::size_t& at, std::string_view open,
                         std::string_view close) {
  const std::size_t begin = text.find(open, at);
  if (begin == std::string_view::npos) return {};
  const std::size_t end = text.find(close, begin + open.size());
  if (end == std::string_view::npos) return {};
  at = end + close.size();
  return text.substr(begin + open.size(), end - begin - open.size());
}

/// "[64, 64, 1, 1]" without its brackets; false when a dim is no number.
bool parse_dims(std::string_view text, Shape& shape) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view digits = text.substr(0, comma);
    std::int64_t dim = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), dim);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return false;
    shape.push_back(dim);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  return true;
}

/// Reads the statements that refer to weight files, whatever else the text is:
///     tensor<fp16, [64, 64, 1, 1]> w = const()[..., val = tensor<...>(BLOBFILE(path =
///     string("@model_path/weights/w.bin"), offset = uint64(64)))];
void collect_references(std::string_view text, std::vector<WeightReference>& references) {
  constexpr std::string_view kBlob = "BLOBFILE";
  // A statement is shorter than this; looking further would make an odd text a slow one.
  constexpr std::size_t kNearbyBytes = 8192;
  std::size_t at = 0;
  while ((at = text.find(kBlob, at)) != std::string_view::npos) {
    const std::size_t blob = at;
    at += kBlob.size();
    const std::string_view after = text.substr(blob, kNearbyBytes);
    std::size_t inside = 0;
    const std::string_view path = between(after, inside, "string(\"", "\"");
    const std::string_view offset = between(after, inside, "uint64(", ")");
    std::string_view statement = text.substr(0, blob);
    if (statement.size() > kNearbyBytes) statement.remove_prefix(statement.size() - kNearbyBytes);
    if (const std::size_t end = statement.rfind(';'); end != std::string_view::npos) {
      statement.remove_prefix(end + 1);
    }
    std::string_view left = statement.substr(0, statement.find('='));
    while (!left.empty() && (left.back() == ' ' || left.back() == '\t')) left.remove_suffix(1);
    const std::size_t name_at = left.find_last_of(" \t\n{>");
    WeightReference reference;
    reference.name = name_at == std::string_view::npos ? left : left.substr(name_at + 1);
    reference.path = path;
    std::size_t type_at = 0;
    // The first statement of a function stands behind its inputs, whose types come first.
    const std::size_t type_begin = left.rfind("tensor<");
    if (type_begin == std::string_view::npos || path.empty() || offset.empty()) continue;
    const std::string_view type = left.substr(type_begin);
    reference.dtype = dtype_from_name(between(type, type_at, "<", ","));
    const auto result =
        std::from_chars(offset.data(), offset.data() + offset.size(), reference.offset);
    type_at = 0;
    if (reference.dtype == DType::none || result.ptr != offset.data() + offset.size() ||
        !parse_dims(between(type, type_at, "[", "]"), reference.shape)) {
      continue;
    }
    references.push_back(std::move(reference));
  }
}

std::vector<std::string> files_below(const Context& context, const std::string& dir,
                                     std::string_view extension) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  std::error_code code;
  for (fs::directory_iterator file(context.resolve(dir), code), end; !code && file != end;
       file.increment(code)) {
    if (file->path().extension() == extension) {
      const std::string name = file->path().filename().string();
      out.push_back(dir == "." ? name : fmt::format("{}/{}", dir, name));
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

int run_weights(Context& context, const Args& args) {
  namespace fs = std::filesystem;
  Diagnostics diagnostics;
  if (args.positionals().empty()) {
    diagnostics.error(rule<"usage.argument">.id(), "a weight file or a folder is to be named");
    return context.usage_error(diagnostics, "weights");
  }
  std::string path = args.positionals()[0];
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();

  std::vector<std::string> files;
  std::vector<std::string> text_folders;
  std::error_code code;
  std::string from_stdin;
  if (path == "-") {
    from_stdin.assign(std::istreambuf_iterator<char>(context.streams.in), {});
    files.push_back(path);
  } else if (fs::is_directory(context.resolve(path), code)) {
    files = files_below(context, path, ".bin");
    const std::vector<std::string> inner = files_below(context, path + "/weights", ".bin");
    files.insert(files.end(), inner.begin(), inner.end());
    text_folders = {path, path + "/.."};
    if (files.empty()) {
      diagnostics.error(rule<"blob.none">.id(),
                        "the folder has no weight file, NAME.bin or weights/NAME.bin", Place(path));
      return context.fail(diagnostics);
    }
  } else {
    files.push_back(path);
    const std::string folder = fs::path(path).parent_path().string();
    text_folders = {folder.empty() ? "." : folder, folder.empty() ? ".." : folder + "/.."};
  }
  BlobUses uses;
  std::vector<WeightReference> of_folder;
  for (const std::string& folder : text_folders) {
    for (const std::string& mil : files_below(context, folder, ".mil")) {
      std::string text;
      Diagnostics ignored;
      std::vector<WeightReference> references;
      if (read_text(context.resolve(mil), text, ignored)) collect_references(text, references);
      for (const WeightReference& reference : references) {
        uses.emplace(std::pair(fs::path(reference.path).filename().string(), reference.offset),
                     reference);
      }
      if (folder == path) {
        of_folder.insert(of_folder.end(), references.begin(), references.end());
      }
    }
  }

  const bool json = args.value("--format") == "json";
  Json root;
  root["files"] = Json::array();
  std::string out;
  for (const std::string& file : files) {
    WeightFileReader reader;
    Diagnostics faults;
    const bool opened = file == "-" ? reader.open(std::as_bytes(std::span(from_stdin)), "-", faults)
                                    : reader.open(context.resolve(file), faults);
    diagnostics.append(faults);
    Json entry;
    entry["path"] = file;
    entry["bytes"] = reader.file_bytes();
    entry["sound"] = opened;
    entry["records"] = Json::array();
    Table table;
    table.right_align({0, 4, 5, 6, 7});
    table.row({"#", "name", "dtype", "shape", "elements", "record", "data", "bytes", "sha256"});
    std::size_t index = 0;
    for (const WeightRecord& record : reader.records()) {
      const auto use = uses.find({fs::path(file).filename().string(), record.offset});
      const bool known = use != uses.end();
      const std::string name = known ? use->second.name : "-";
      const std::string shape = known ? to_string(use->second.shape) : "-";
      const std::span<const std::byte> payload = reader.payload(record);
      const bool inside = payload.size() == record.size_bytes;
      const std::string digest = inside ? sha256_hex(payload) : "-";
      const std::uint64_t elements = record.dtype == DType::none ? 0 : element_count(record);
      table.row({std::to_string(index), name, std::string(dtype_name(record.dtype)), shape,
                 std::to_string(elements), std::to_string(record.offset),
                 std::to_string(record.data_offset), std::to_string(record.size_bytes), digest});
      Json row;
      row["index"] = index++;
      row["name"] = known ? Json(name) : Json(nullptr);
      row["dtype"] = std::string(dtype_name(record.dtype));
      row["shape"] = known ? to_json(use->second.shape) : Json(nullptr);
      row["elements"] = elements;
      row["record_offset"] = record.offset;
      row["data_offset"] = record.data_offset;
      row["bytes"] = record.size_bytes;
      row["sha256"] = inside ? Json(digest) : Json(nullptr);
      entry["records"].push_back(std::move(row));
    }
    const bool read = std::ranges::none_of(
        faults.all(), [](const Diagnostic& fault) { return fault.id.starts_with("file."); });
    if (read)
      out += fmt::format("{}: {}, {}\n", file, counted(reader.records().size(), "record"),
                         counted(reader.file_bytes(), "byte"));
    if (!reader.records().empty()) out += table.text("  ");
    root["files"].push_back(std::move(entry));
  }
  // What the folder's texts refer to, held against its files; those have been reported already.
  Diagnostics of_references;
  check_weights(of_folder, context.resolve(path), of_references);
  std::set<std::string> reported;
  for (const Diagnostic& known : diagnostics.all())
    reported.insert(known.place.file + known.message);
  for (const Diagnostic& found : of_references.all()) {
    if (reported.insert(found.place.file + found.message).second) diagnostics.add(found);
  }
  if (json) {
    root["diagnostics"] = to_json(context, diagnostics);
    out = json_text(root);
  }
  context.streams.out << out;
  context.report(diagnostics);
  return diagnostics.has_errors() ? kExitFailed : kExitDone;
}

}  // namespace milgen::cli
