#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <istream>
#include <iterator>
#include <map>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "milgen/emit.h"
#include "milgen/module.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// What MIL texts near a weight file say about its records: a weight file itself knows no names and
/// no shapes. Key: file name and record offset.
using BlobUses = std::map<std::pair<std::string, std::uint64_t>, WeightReference>;

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

/// References of texts, and by the name of the file and the offset what each record is.
struct Texts {
  std::vector<WeightReference> references;
  BlobUses uses;

  void add(const Module& text) {
    const std::size_t before = references.size();
    std::vector<WeightReference> more = weight_references(text);
    references.insert(references.end(), std::make_move_iterator(more.begin()),
                      std::make_move_iterator(more.end()));
    for (std::size_t i = before; i < references.size(); ++i) {
      uses.emplace(std::pair(file_name(references[i].path), references[i].offset), references[i]);
    }
  }
  static std::string file_name(const std::string& path) {
    return std::filesystem::path(path).filename().string();
  }
};

/// What the command line asks for, found on the disk.
struct Request {
  std::vector<std::string> files;
  Texts texts;
  /// References that are held against the files: those of the folder's own texts, or of --mil.
  std::vector<WeightReference> checked;
  CheckWeightsOptions how;
  std::string folder;
};

bool find_files(const Context& context, const std::string& path, Request& request,
                Diagnostics& diagnostics) {
  namespace fs = std::filesystem;
  std::error_code code;
  if (path == "-" || !fs::is_directory(context.resolve(path), code)) {
    request.files.push_back(path);
    return true;
  }
  request.folder = path;
  request.files = files_below(context, path, ".bin");
  const std::vector<std::string> inner = files_below(context, path + "/weights", ".bin");
  request.files.insert(request.files.end(), inner.begin(), inner.end());
  if (!request.files.empty()) return true;
  diagnostics.error(rule<"blob.none">.id(),
                    "the folder has no weight file, NAME.bin or weights/NAME.bin", Place(path));
  return false;
}

/// The texts of the folder, or beside the file, and those one folder above.
void read_texts_nearby(const Context& context, const std::string& path, Request& request) {
  std::string folder = request.folder;
  if (folder.empty()) {
    folder = path == "-" ? "" : std::filesystem::path(path).parent_path().string();
  }
  const std::string own = folder.empty() ? "." : folder;
  for (const std::string& where : {own, folder.empty() ? std::string("..") : folder + "/.."}) {
    for (const std::string& mil : files_below(context, where, ".mil")) {
      // What can be read of a text is used, and whatever is wrong with it is not asked for here.
      Diagnostics ignored;
      request.texts.add(read_mil(context.resolve(mil), ignored));
    }
    if (where == own && !request.folder.empty()) request.checked = request.texts.references;
  }
}

/// The text of --mil. Of references to several files those to the named one are meant; a text that
/// refers to one file alone means it whatever it is called.
bool read_named_text(const Context& context, std::string_view mil, Request& request,
                     Diagnostics& diagnostics) {
  const Module text = read_mil(context.resolve(mil), diagnostics);
  if (!text) return false;
  request.texts.add(text);
  request.checked = request.texts.references;
  if (!request.folder.empty()) return true;
  const std::string wanted = Texts::file_name(request.files[0]);
  std::set<std::string> named;
  for (const WeightReference& reference : request.checked) {
    named.insert(Texts::file_name(reference.path));
  }
  if (named.contains(wanted)) {
    std::erase_if(request.checked, [&](const WeightReference& reference) {
      return Texts::file_name(reference.path) != wanted;
    });
  } else if (named.size() != 1) {
    diagnostics.error(rule<"weight.text">.id(),
                      named.empty() ? std::string("the text refers to no weight file")
                                    : fmt::format("the text refers to {}, none of them called '{}'",
                                                  counted(named.size(), "weight file"), wanted),
                      Place(std::string(mil)));
    return false;
  }
  request.texts.uses.clear();
  for (const WeightReference& reference : request.checked) {
    request.texts.uses.emplace(std::pair(wanted, reference.offset), reference);
  }
  // There is no file to go back to behind what came from a pipe.
  if (request.files[0] == "-") request.checked.clear();
  request.how.file = context.resolve(request.files[0]);
  return true;
}

/// The records of `file` that texts refer to, for a reader that cannot walk it.
std::vector<RecordReference> references_to(const std::string& file, const BlobUses& uses) {
  std::vector<RecordReference> references;
  const std::string name = Texts::file_name(file);
  for (auto use = uses.lower_bound({name, 0}); use != uses.end() && use->first.first == name;
       ++use) {
    std::int64_t count = 0;
    // What no file can hold is reported with the other references that do not fit.
    if (weight_dtype_code(use->second.dtype) == 0) continue;
    if (!element_count(use->second.shape, count)) continue;
    references.push_back({use->second.name, use->second.offset, use->second.dtype,
                          static_cast<std::uint64_t>(count)});
  }
  return references;
}

/// Weight files, one after the other, as a table and as JSON.
class Listing {
 public:
  Listing(const Context& context, const BlobUses& uses, bool lenient)
      : context_(context), uses_(uses), lenient_(lenient) {
    root_["files"] = Json::array();
  }

  void add(const std::string& file, Diagnostics& diagnostics) {
    std::string from_stdin;
    if (file == "-") from_stdin.assign(std::istreambuf_iterator<char>(context_.streams.in), {});
    const std::vector<RecordReference> references = references_to(file, uses_);
    ReadOptions how;
    if (lenient_) how = {references.empty() ? ReadMode::guess : ReadMode::lenient, references};
    WeightFileReader reader;
    Diagnostics faults;
    const auto open = [&](const ReadOptions& options, Diagnostics& out) {
      return file == "-" ? reader.open(std::as_bytes(std::span(from_stdin)), "-", out, options)
                         : reader.open(context_.resolve(file), out, options);
    };
    const bool sound = open(how, faults);
    add_records(file, reader, how.mode, sound, faults);
    std::string_view hint;
    if (!lenient_ && !faults.empty()) {
      const std::size_t strict_records = reader.records().size();
      Diagnostics ignored;
      if (faults.all().back().id == "blob.text") {
        hint = "'milc weights DIR' lists the weight files of a folder";
      } else if (open({ReadMode::guess, {}}, ignored) && reader.records().size() > strict_records) {
        hint = "--lenient lists what can be made out";
      }
    }
    append(faults, hint, diagnostics);
  }

  const std::string& text() const { return text_; }
  Json& json() { return root_; }

 private:
  /// `hint` is a note to the last of `faults`.
  static void append(const Diagnostics& faults, std::string_view hint, Diagnostics& diagnostics) {
    for (std::size_t i = 0; i < faults.all().size(); ++i) {
      Diagnostic& added = diagnostics.add(faults.all()[i]);
      const bool is_last = i + 1 == faults.all().size();
      if (is_last && !hint.empty()) added.notes.push_back({std::string(hint), {}});
    }
  }

  static std::string_view mode_name(ReadMode mode) {
    constexpr std::string_view kNames[] = {"strict", "lenient", "guess"};
    return kNames[static_cast<std::size_t>(mode)];
  }

  void add_records(const std::string& file, const WeightFileReader& reader, ReadMode mode,
                   bool sound, const Diagnostics& faults) {
    Json entry;
    entry["path"] = file;
    entry["bytes"] = reader.file_bytes();
    entry["mode"] = std::string(mode_name(mode));
    entry["sound"] = sound;
    entry["records"] = Json::array();
    Table table;
    table.right_align({0, 4, 5, 6, 7});
    table.row({"#", "name", "dtype", "shape", "elements", "record", "data", "bytes", "sha256"});
    for (std::size_t i = 0; i < reader.records().size(); ++i) {
      add_record(file, reader, i, table, entry["records"]);
    }
    const bool read = std::ranges::none_of(
        faults.all(), [](const Diagnostic& fault) { return fault.id.starts_with("file."); });
    if (read) {
      text_ += fmt::format("{}: {}{}, {}\n", file, counted(reader.records().size(), "record"),
                           mode == ReadMode::guess ? " (a guess)" : "",
                           counted(reader.file_bytes(), "byte"));
    }
    if (!reader.records().empty()) text_ += table.text("  ");
    root_["files"].push_back(std::move(entry));
  }

  void add_record(const std::string& file, const WeightFileReader& reader, std::size_t index,
                  Table& table, Json& rows) const {
    const WeightRecord& record = reader.records()[index];
    const auto use = uses_.find({Texts::file_name(file), record.offset});
    const bool known = use != uses_.end();
    const std::string name = known ? use->second.name : "-";
    const std::string shape = known ? to_string(use->second.shape) : "-";
    const std::span<const std::byte> payload = reader.payload(record);
    const bool inside = payload.size() == record.size_bytes;
    const std::string digest = inside ? sha256_hex(payload) : "-";
    const std::uint64_t elements = element_count(record);
    table.row({std::to_string(index), name, std::string(dtype_name(record.dtype)), shape,
               std::to_string(elements), std::to_string(record.offset),
               std::to_string(record.data_offset), std::to_string(record.size_bytes), digest});
    Json row;
    row["index"] = index;
    row["name"] = known ? Json(name) : Json(nullptr);
    row["dtype"] = std::string(dtype_name(record.dtype));
    row["shape"] = known ? to_json(use->second.shape) : Json(nullptr);
    row["elements"] = elements;
    row["record_offset"] = record.offset;
    row["data_offset"] = record.data_offset;
    row["bytes"] = record.size_bytes;
    row["sha256"] = inside ? Json(digest) : Json(nullptr);
    rows.push_back(std::move(row));
  }

  const Context& context_;
  const BlobUses& uses_;
  bool lenient_;
  Json root_;
  std::string text_;
};

/// Holds references against the files, whose own faults have been reported already.
void check_references(const Context& context, const Request& request, Diagnostics& diagnostics) {
  Diagnostics of_references;
  check_weights(request.checked, context.resolve(request.folder), of_references, request.how);
  std::set<std::string> reported;
  for (const Diagnostic& known : diagnostics.all()) {
    reported.insert(known.place.file + known.message);
  }
  for (const Diagnostic& found : of_references.all()) {
    if (reported.insert(found.place.file + found.message).second) diagnostics.add(found);
  }
}

}  // namespace

int run_weights(Context& context, const Args& args) {
  Diagnostics diagnostics;
  if (args.positionals().empty()) {
    diagnostics.error(rule<"usage.argument">.id(), "a weight file or a folder is to be named");
    return context.usage_error(diagnostics, "weights");
  }
  std::string path = args.positionals()[0];
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();

  Request request;
  request.how.lenient = args.has("--lenient");
  if (!find_files(context, path, request, diagnostics)) return context.fail(diagnostics);
  if (!args.has("--mil")) {
    read_texts_nearby(context, path, request);
  } else if (!read_named_text(context, args.value("--mil"), request, diagnostics)) {
    return context.fail(diagnostics);
  }
  Listing listing(context, request.texts.uses, request.how.lenient);
  for (const std::string& file : request.files) listing.add(file, diagnostics);
  check_references(context, request, diagnostics);

  if (args.value("--format") == "json") {
    listing.json()["diagnostics"] = to_json(context, diagnostics);
    context.streams.out << json_text(listing.json());
  } else {
    context.streams.out << listing.text();
  }
  context.report(diagnostics);
  return diagnostics.has_errors() ? kExitFailed : kExitDone;
}

}  // namespace milgen::cli
