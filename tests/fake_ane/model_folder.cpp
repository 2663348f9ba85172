#include "model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "mil/weight_path.h"
#include "milgen/diagnostic.h"
#include "milgen/emit.h"
#include "milgen/module.h"
#include "support/files.h"
#include "support/hash.h"

namespace milgen::fake_ane {
namespace {

namespace fs = std::filesystem;

using Bytes = std::span<const std::byte>;

constexpr std::uint64_t kFileLimitBytes = std::uint64_t{1} << 40;

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string sha256(std::string_view text) {
  Sha256 sha;
  sha.update(bytes_of(text));
  return hex(sha.finish());
}

std::string below(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

/// The file that a BLOBFILE path means, which weight_path_fault() found no fault in.
std::string weight_file(const std::string& folder, std::string_view path) {
  return below(folder, path.substr(kModelPath.size()));
}

std::string first_message(const Diagnostics& diagnostics) {
  if (diagnostics.empty()) return {};
  const Diagnostic& first = diagnostics.all().front();
  return fmt::format("{}: {}", first.place.file, first.message);
}

bool read_whole(const std::string& path, std::string& text, std::string& why) {
  Diagnostics diagnostics;
  if (read_file(path, kFileLimitBytes, text, diagnostics)) return true;
  why = first_message(diagnostics);
  return false;
}

bool read_weight_file(const std::string& folder, const std::string& path,
                      std::vector<WeightFileBytes>& weights, std::string& why) {
  const std::string_view fault = weight_path_fault(path);
  if (!fault.empty()) {
    why = fmt::format("the weights are in {}, {}", path, fault);
    return false;
  }
  std::string text;
  if (!read_whole(weight_file(folder, path), text, why)) return false;
  const Bytes bytes = bytes_of(text);
  weights.push_back(
      {path, std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())});
  return true;
}

// --- The engine's own files. ---

std::string plist_head(std::string_view text_digest, std::string_view weights_digest) {
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n<dict>\n"
      "  <key>Engine</key><string>fake</string>\n"
      "  <key>Text</key><string>{}</string>\n  <key>Weights</key><string>{}</string>\n",
      text_digest, weights_digest);
}

std::string plist(std::string_view text_digest, std::string_view weights_digest,
                  std::string_view data_digest) {
  return fmt::format("{}  <key>Data</key><string>{}</string>\n</dict>\n</plist>\n",
                     plist_head(text_digest, weights_digest), data_digest);
}

void append_size(std::string& data, std::size_t size) {
  const std::uint64_t number = size;
  data.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/// For each weight file: two sizes, the path, the bytes.
std::string pack_data(std::span<const WeightFileBytes> weights) {
  std::string data;
  for (const WeightFileBytes& weight : weights) {
    append_size(data, weight.path.size());
    append_size(data, weight.bytes->size());
    data.append(weight.path).append(text_of(*weight.bytes));
  }
  return data;
}

bool take(Bytes& data, std::uint64_t size, Bytes& out) {
  if (size > data.size()) return false;
  out = data.first(static_cast<std::size_t>(size));
  data = data.subspan(out.size());
  return true;
}

bool take_size(Bytes& data, std::uint64_t& size) {
  Bytes bytes;
  if (!take(data, sizeof size, bytes)) return false;
  std::memcpy(&size, bytes.data(), sizeof size);
  return true;
}

bool unpack_data(Bytes data, std::vector<WeightFileBytes>& weights) {
  while (!data.empty()) {
    std::uint64_t path_size = 0;
    std::uint64_t byte_size = 0;
    Bytes path;
    Bytes bytes;
    if (!take_size(data, path_size) || !take_size(data, byte_size) ||
        !take(data, path_size, path) || !take(data, byte_size, bytes)) {
      return false;
    }
    weights.push_back({std::string(text_of(path)),
                       std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())});
  }
  return true;
}

/// Beside its place and then into it, so that another process never reads a part. Not flushed to
/// the disk: what a compile leaves need not survive the machine, and tests compile often.
bool write_whole(const std::string& path, std::string_view text, EngineError& error) {
  const std::string beside = path + ".new";
  std::ofstream file(beside, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  std::error_code code;
  if (file) fs::rename(beside, path, code);
  if (file && !code) return true;
  fs::remove(beside, code);
  return error.set(kCompileError, kCompileFailed, path + ": cannot be written");
}

bool check_weight(const std::string& folder, const WeightFileBytes& weight, EngineError& error) {
  std::vector<WeightFileBytes> found;
  std::string why;
  if (!read_weight_file(folder, weight.path, found, why)) {
    return error.set(kCompileError, kCompileFailed, why);
  }
  if (*found.front().bytes == *weight.bytes) return true;
  return error.set(kCompileError, kCompileFailed,
                   fmt::format("the file of {} has {} bytes that are not the {} of the dictionary",
                               weight.path, found.front().bytes->size(), weight.bytes->size()));
}

}  // namespace

std::string text_hash(std::string_view text) { return sha256(text); }

std::string weights_hash(std::span<const WeightFileBytes> weights) {
  Sha256 sha;
  for (const WeightFileBytes& weight : weights) {
    std::string head;
    append_size(head, weight.path.size());
    append_size(head, weight.bytes->size());
    sha.update(bytes_of(head));
    sha.update(bytes_of(weight.path));
    sha.update(*weight.bytes);
  }
  return hex(sha.finish());
}

bool check_folder(const ModelSource& source, EngineError& error) {
  std::string text;
  std::string why;
  if (!read_whole(below(source.folder, "model.mil"), text, why)) {
    return error.set(kCompileError, kCompileFailed, why);
  }
  if (text != source.text) {
    return error.set(kCompileError, kCompileFailed, "model.mil is not the text of the descriptor");
  }
  return std::ranges::all_of(source.weights, [&](const WeightFileBytes& weight) {
    return check_weight(source.folder, weight, error);
  });
}

bool read_package(const std::string& folder, ModelSource& source, EngineError& error) {
  source.folder = folder;
  std::string why;
  if (!read_whole(below(folder, "model.mil"), source.text, why)) {
    return error.set(kBundleError, kBundleFailed, why);
  }
  Diagnostics diagnostics;
  std::vector<std::string> paths;
  for (const WeightReference& reference : weight_references(parse_mil(source.text, diagnostics))) {
    paths.push_back(reference.path);
  }
  std::ranges::sort(paths);
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  for (const std::string& path : paths) {
    if (!read_weight_file(folder, path, source.weights, why)) {
      return error.set(kBundleError, kBundleFailed, why);
    }
  }
  return true;
}

bool write_compiled(const ModelSource& source, EngineError& error) {
  const std::string data = pack_data(source.weights);
  const std::string list =
      plist(text_hash(source.text), weights_hash(source.weights), sha256(data));
  return write_whole(below(source.folder, "data"), data, error) &&
         write_whole(below(source.folder, "net.plist"), list, error);
}

bool compiled_exists(const std::string& folder, std::string_view text_digest,
                     std::string_view weights_digest) {
  std::string list;
  std::string ignored;
  return read_whole(below(folder, "net.plist"), list, ignored) &&
         list.starts_with(plist_head(text_digest, weights_digest));
}

bool read_compiled(const std::string& folder, std::string_view text_digest,
                   std::string_view weights_digest, bool from_weight_files,
                   std::vector<WeightFileBytes>& weights, EngineError& error) {
  std::string list;
  std::string data;
  std::string why;
  if (!read_whole(below(folder, "net.plist"), list, why) ||
      !read_whole(below(folder, "data"), data, why)) {
    return error.set(kLoadError, kLoadFailed, why);
  }
  if (list != plist(text_digest, weights_digest, sha256(data))) {
    return error.set(kLoadError, kLoadFailed, "net.plist is not of this text, weights and data");
  }
  std::vector<WeightFileBytes> kept;
  if (!unpack_data(bytes_of(data), kept)) {
    return error.set(kLoadError, kLoadFailed, "data is cut off");
  }
  if (!from_weight_files) {
    weights = std::move(kept);
    return true;
  }
  return std::ranges::all_of(kept, [&](const WeightFileBytes& weight) {
    return read_weight_file(folder, weight.path, weights, why) ||
           error.set(kLoadError, kLoadFailed, why);
  });
}

void remove_compiled(const std::string& folder) {
  std::error_code ignored;
  fs::remove(below(folder, "net.plist"), ignored);
  fs::remove(below(folder, "data"), ignored);
}

}  // namespace milgen::fake_ane
