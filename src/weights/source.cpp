#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "milgen/weights.h"
#include "support/files.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "support/text.h"
#include "weights/blob_format.h"
#include "weights/convert.h"
#include "weights/memory_source.h"
#include "weights/tensor_file.h"

namespace milgen {

WeightSource::~WeightSource() = default;

namespace {

using detail::SourceTensor;

std::string guess(std::string_view name, const std::vector<std::string>& names) {
  // Against thousands of names a guess costs more than it helps.
  constexpr std::size_t kGuessLimit = 5000;
  if (names.size() > kGuessLimit) return {};
  const std::vector<std::string_view> views(names.begin(), names.end());
  return did_you_mean(name, views);
}

bool report_missing(std::string_view name, std::string_view where,
                    const std::vector<std::string>& names, Diagnostics& diagnostics) {
  diagnostics.error(
      rule<"weight.missing">.id(),
      fmt::format("weight '{}' is not in {}{}", printable(name), where, guess(name, names)));
  return false;
}

/// A path as messages have it. Longer than any is: cut short it would name another file.
std::string path_text(std::string_view path) {
  constexpr std::size_t kPathLimitBytes = 4096;
  return fmt::format("'{}'", printable(path, kPathLimitBytes));
}

/// A source whose tensors can be had as bytes: everything but the formulas.
class TensorSource : public WeightSource {
 public:
  bool describe(std::string_view name, WeightDescription& description) const override {
    SourceTensor tensor;
    MappedFile hold;
    Diagnostics unseen;
    description = {};
    const std::size_t index = find(name);
    if (index == kNone) return false;
    // A file that cannot be read is there all the same; reading it says why it cannot.
    if (!tensor_at(index, tensor, hold, unseen)) return true;
    description.dtype = tensor.dtype;
    description.shape = tensor.shape;
    description.shape_known = tensor.shape_known;
    return true;
  }

  std::vector<std::string> names() const override { return names_; }
  std::string where() const override { return path_text(where_); }

  bool check(const WeightRequest& request, bool transposed,
             Diagnostics& diagnostics) const override {
    SourceTensor tensor;
    SourceTensor fitted;
    MappedFile hold;
    const std::size_t index = find(request.name);
    if (index == kNone) return report_missing(request.name, where(), names_, diagnostics);
    Diagnostics said;
    if (tensor_at(index, tensor, hold, said) &&
        detail::fit_tensor(tensor, request, transposed, where_is(index), fitted, said)) {
      return true;  // warnings come when it is read
    }
    diagnostics.append(said);
    return false;
  }

  bool read(const WeightRequest& request, WeightSink& sink, Diagnostics& diagnostics) override {
    return write(request, false, sink, diagnostics);
  }
  bool read_transposed(const WeightRequest& request, WeightSink& sink,
                       Diagnostics& diagnostics) override {
    return write(request, true, sink, diagnostics);
  }

 protected:
  TensorSource(std::string where, const WeightSourceOptions& options)
      : options_(options), where_(std::move(where)) {}

  WeightSourceOptions options_;

  /// `index` counts the names that were given to set_names(). `hold` keeps what is mapped for this
  /// one tensor.
  virtual bool tensor_at(std::size_t index, SourceTensor& tensor, MappedFile& hold,
                         Diagnostics& diagnostics) const = 0;
  virtual std::string where_is(std::size_t) const { return where(); }

  /// False after `weight.duplicate` reports. names() are sorted, whatever the order here.
  bool set_names(const std::vector<std::string>& names, Diagnostics& diagnostics) {
    bool unique = true;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!index_.emplace(names[i], i).second) {
        const std::string first = where_is(index_[names[i]]);
        const std::string second = where_is(i);
        diagnostics.error(
            rule<"weight.duplicate">.id(),
            fmt::format("weight '{}' is there twice{}", printable(names[i]),
                        first == second ? "" : fmt::format(", as {} and as {}", first, second)),
            Place(where_));
        unique = false;
      }
    }
    names_ = names;
    std::sort(names_.begin(), names_.end());
    return unique;
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t find(std::string_view name) const {
    const auto found = index_.find(std::string(name));
    return found == index_.end() ? kNone : found->second;
  }

  bool write(const WeightRequest& request, bool transposed, WeightSink& sink,
             Diagnostics& diagnostics) const {
    const std::size_t index = find(request.name);
    if (index == kNone) return report_missing(request.name, where(), names_, diagnostics);
    SourceTensor tensor;
    MappedFile hold;
    if (!tensor_at(index, tensor, hold, diagnostics)) return false;
    return detail::write_tensor(tensor, request, transposed, options_, where_is(index), sink,
                                diagnostics);
  }

  std::string where_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> index_;
};

// --- Memory. ---

class MemorySource final : public TensorSource {
 public:
  /// `origin` is empty where messages have no path to name.
  MemorySource(const std::string& origin, std::vector<MemoryWeight> weights,
               const WeightSourceOptions& options)
      : TensorSource(origin.empty() ? kMemory : origin, options),
        has_origin_(!origin.empty()),
        weights_(std::move(weights)) {}

  std::string where() const override { return has_origin_ ? TensorSource::where() : kMemory; }

  bool check_sizes(Diagnostics& diagnostics) {
    const std::size_t errors_before = diagnostics.errors();
    std::vector<std::string> names;
    names.reserve(weights_.size());
    for (const MemoryWeight& weight : weights_) {
      names.push_back(weight.name);
      std::int64_t count = 0;
      std::uint64_t size = 0;
      std::uint32_t padding = 0;
      if (element_count(weight.shape, count) &&
          payload_bytes(weight.dtype, static_cast<std::uint64_t>(count), size, padding) &&
          size == weight.bytes.size()) {
        continue;
      }
      diagnostics.error(rule<"weight.size">.id(),
                        fmt::format("weight '{}' is {}, which does not take the {} bytes that are "
                                    "given",
                                    printable(weight.name), tensor_text(weight.dtype, weight.shape),
                                    weight.bytes.size()));
    }
    return set_names(names, diagnostics) && diagnostics.errors() == errors_before;
  }

 private:
  bool tensor_at(std::size_t index, SourceTensor& tensor, MappedFile&,
                 Diagnostics&) const override {
    tensor = {};
    tensor.dtype = weights_[index].dtype;
    tensor.shape = weights_[index].shape;
    tensor.bytes = weights_[index].bytes;
    return true;
  }

  static constexpr const char* kMemory = "memory";

  bool has_origin_;
  std::vector<MemoryWeight> weights_;
};

// --- Files with one tensor each. ---

class FilesSource final : public TensorSource {
 public:
  FilesSource(std::string where, const WeightSourceOptions& options)
      : TensorSource(std::move(where), options) {}

  bool add(const std::filesystem::path& path, Diagnostics& diagnostics) {
    paths_.push_back(path);
    return set({path.stem().string()}, diagnostics);
  }

  bool add_folder(const std::filesystem::path& folder, Diagnostics& diagnostics) {
    if (!list(folder, diagnostics)) return false;
    std::error_code code;
    const std::filesystem::path inner = folder / "weights";
    if (paths_.empty() && std::filesystem::is_directory(inner, code) && !list(inner, diagnostics)) {
      return false;
    }
    if (paths_.empty()) {
      diagnostics.error(rule<"weight.none">.id(),
                        "the folder has no NAME.bin, NAME.raw or NAME.npy, and none in its "
                        "folder 'weights'",
                        Place(folder.string()));
      return false;
    }
    // What `emit` writes as one shared file: every weight would be reported as missing.
    if (paths_.size() == 1 && !has_one_tensor(0, diagnostics)) return false;
    std::vector<std::string> names;
    names.reserve(paths_.size());
    for (const auto& path : paths_) names.push_back(path.stem().string());
    return set(names, diagnostics);
  }

  /// False, reported, when the file cannot be what it begins as.
  bool has_one_tensor(std::size_t index, Diagnostics& diagnostics) const {
    SourceTensor tensor;
    MappedFile hold;
    return tensor_at(index, tensor, hold, diagnostics);
  }

 private:
  bool list(const std::filesystem::path& folder, Diagnostics& diagnostics) {
    std::error_code code;
    std::filesystem::directory_iterator entry(folder, code);
    const std::filesystem::directory_iterator end;
    for (; !code && entry != end; entry.increment(code)) {
      const std::string extension = entry->path().extension().string();
      std::error_code unreadable;
      if ((extension == ".bin" || extension == ".raw" || extension == ".npy") &&
          entry->is_regular_file(unreadable)) {
        paths_.push_back(entry->path());
      }
    }
    if (code) {
      diagnostics.error(rule<"file.folder">.id(),
                        fmt::format("the folder cannot be listed: {}", code.message()),
                        Place(folder.string()));
      return false;
    }
    std::sort(paths_.begin(), paths_.end());
    return true;
  }

  bool set(const std::vector<std::string>& names, Diagnostics& diagnostics) {
    return set_names(names, diagnostics);
  }

  std::string where_is(std::size_t index) const override {
    return path_text(paths_[index].string());
  }

  bool tensor_at(std::size_t index, SourceTensor& tensor, MappedFile& hold,
                 Diagnostics& diagnostics) const override {
    const std::string path = paths_[index].string();
    if (!hold.open(path, diagnostics)) return false;
    if (paths_[index].extension() == ".npy") {
      return detail::parse_npy(hold.bytes(), path, tensor, diagnostics);
    }
    tensor = {};
    tensor.shape_known = false;
    tensor.bytes = hold.bytes();
    return !detail::begins_as_weight_file(tensor.bytes) || only_record(path, tensor, diagnostics);
  }

  bool only_record(const std::string& path, SourceTensor& tensor, Diagnostics& diagnostics) const {
    WeightFileReader reader;
    Diagnostics faults;
    bool good = reader.open(tensor.bytes, path, faults);
    for (Diagnostic fault : faults.all()) {
      if (options_.strict) fault.severity = Severity::error;
      good = good && fault.severity != Severity::error;
      diagnostics.add(std::move(fault));
    }
    if (!good) return false;
    if (reader.records().size() != 1) {
      diagnostics.error(rule<"weight.records">.id(),
                        fmt::format("the weight file has {} records, which have no names; a file "
                                    "for each weight, NAME.bin, can be read",
                                    reader.records().size()),
                        Place(path));
      return false;
    }
    tensor.dtype = reader.records()[0].dtype;
    tensor.bytes = reader.payload(reader.records()[0]);
    return true;
  }

  std::vector<std::filesystem::path> paths_;
};

// --- .safetensors. ---

class SafetensorsSource final : public TensorSource {
 public:
  SafetensorsSource(const std::string& path, const WeightSourceOptions& options)
      : TensorSource(path, options), path_(path) {}

  bool open(Diagnostics& diagnostics) {
    if (!file_.open(path_, diagnostics) ||
        !detail::parse_safetensors(file_.bytes(), path_, tensors_, diagnostics)) {
      return false;
    }
    std::vector<std::string> names;
    names.reserve(tensors_.size());
    for (const auto& named : tensors_) names.push_back(named.name);
    return set_names(names, diagnostics);
  }

 private:
  bool tensor_at(std::size_t index, SourceTensor& tensor, MappedFile&,
                 Diagnostics&) const override {
    tensor = tensors_[index].tensor;
    return true;
  }

  std::string path_;
  MappedFile file_;
  std::vector<detail::NamedTensor> tensors_;
};

// --- Names in front of a source. ---

struct MapEntry {
  std::string tensor;
  bool transposed = false;
};

class MappedSource final : public WeightSource {
 public:
  MappedSource(std::unique_ptr<WeightSource> source,
               std::unordered_map<std::string, MapEntry> entries)
      : source_(std::move(source)), entries_(std::move(entries)) {}

  bool describe(std::string_view name, WeightDescription& description) const override {
    const auto found = entries_.find(std::string(name));
    if (found == entries_.end()) return source_->describe(name, description);
    if (!source_->describe(found->second.tensor, description)) return false;
    if (found->second.transposed && description.shape_known) {
      description.shape = detail::without_ones(description.shape);
      std::reverse(description.shape.begin(), description.shape.end());
    }
    return true;
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names = source_->names();
    if (names.empty()) return names;
    std::unordered_map<std::string, bool> renamed;
    for (const auto& [name, entry] : entries_) renamed[entry.tensor] = true;
    std::erase_if(names, [&](const std::string& name) { return renamed.contains(name); });
    for (const auto& [name, entry] : entries_) names.push_back(name);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  std::string where() const override { return source_->where(); }

  bool check(const WeightRequest& request, bool transposed,
             Diagnostics& diagnostics) const override {
    return forward(request, transposed, diagnostics,
                   [&](const WeightRequest& inner, bool turned, Diagnostics& said) {
                     return source_->check(inner, turned, said);
                   });
  }
  bool read(const WeightRequest& request, WeightSink& sink, Diagnostics& diagnostics) override {
    return copy(request, false, sink, diagnostics);
  }
  bool read_transposed(const WeightRequest& request, WeightSink& sink,
                       Diagnostics& diagnostics) override {
    return copy(request, true, sink, diagnostics);
  }

 private:
  bool copy(const WeightRequest& request, bool transposed, WeightSink& sink,
            Diagnostics& diagnostics) {
    return forward(request, transposed, diagnostics,
                   [&](const WeightRequest& inner, bool turned, Diagnostics& said) {
                     return turned ? source_->read_transposed(inner, sink, said)
                                   : source_->read(inner, sink, said);
                   });
  }

  /// Asks the source for the tensor that the map names.
  template <class Ask>
  bool forward(const WeightRequest& request, bool transposed, Diagnostics& diagnostics,
               const Ask& ask) const {
    const auto found = entries_.find(std::string(request.name));
    WeightRequest inner = request;
    if (found != entries_.end()) {
      inner.name = found->second.tensor;
      transposed = transposed != found->second.transposed;
    }
    Diagnostics said;
    const bool good = ask(inner, transposed, said);
    for (Diagnostic diagnostic : said.all()) {
      if (found != entries_.end()) {
        diagnostic.notes.push_back(
            {fmt::format("weight '{}' is tensor '{}' by the name map", printable(request.name),
                         printable(found->second.tensor)),
             {}});
      }
      diagnostics.add(std::move(diagnostic));
    }
    return good;
  }

  std::unique_ptr<WeightSource> source_;
  std::unordered_map<std::string, MapEntry> entries_;
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (at < line.size()) {
    if (is_blank(line[at])) {
      ++at;
      continue;
    }
    // Inside a word it belongs to a tensor's name.
    if (line[at] == '#') break;
    const std::size_t begin = at;
    while (at < line.size() && !is_blank(line[at])) ++at;
    words.push_back(line.substr(begin, at - begin));
  }
  return words;
}

}  // namespace

std::string WeightSource::where() const { return "the source"; }

bool WeightSource::check(const WeightRequest& request, bool transposed,
                         Diagnostics& diagnostics) const {
  WeightDescription has;
  if (!describe(request.name, has)) {
    return report_missing(request.name, where(), names(), diagnostics);
  }
  if (!has.shape_known) return true;
  const bool bad_dtype = has.dtype != DType::none && !detail::converts(has.dtype, request.dtype);
  Shape dims = detail::without_ones(has.shape);
  if (transposed) std::reverse(dims.begin(), dims.end());
  const bool bad_shape = !(dims == detail::without_ones(request.shape));
  if (!bad_dtype && !bad_shape) return true;
  diagnostics.error(
      bad_dtype ? rule<"weight.convert">.id() : rule<"weight.shape">.id(),
      fmt::format(
          "weight '{}' is {} but in {} it is {}{}", printable(request.name),
          tensor_text(request.dtype, request.shape), where(), tensor_text(has.dtype, has.shape),
          bad_dtype ? fmt::format(", which is not converted to {}", dtype_name(request.dtype))
                    : ""));
  return false;
}

bool WeightSource::read_transposed(const WeightRequest& request, WeightSink& sink,
                                   Diagnostics& diagnostics) {
  const Shape dims = detail::without_ones(request.shape);
  std::int64_t count = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t padding_bits = 0;
  if (dims.size() < 2) return read(request, sink, diagnostics);
  if (dims.size() > 2 || !element_count(request.shape, count) ||
      !payload_bytes(request.dtype, static_cast<std::uint64_t>(count), size_bytes, padding_bits)) {
    diagnostics.error(
        rule<"weight.shape">.id(),
        fmt::format("weight '{}' is {}, which is no matrix to be transposed",
                    printable(request.name), tensor_text(request.dtype, request.shape)));
    return false;
  }
  WeightRequest straight = request;
  straight.shape = Shape{dims[1], dims[0]};
  std::vector<std::byte> bytes(static_cast<std::size_t>(size_bytes));
  MemorySink memory(bytes);
  if (!read(straight, memory, diagnostics)) return false;
  detail::SourceTensor tensor;
  tensor.dtype = request.dtype;
  tensor.shape = straight.shape;
  tensor.bytes = bytes;
  Diagnostics again;  // what the values are has been reported
  if (detail::write_tensor(tensor, request, true, {}, where(), sink, again)) return true;
  diagnostics.append(again);
  return false;
}

std::unique_ptr<WeightSource> detail::memory_weights_of(const std::string& origin,
                                                        std::vector<MemoryWeight> weights,
                                                        const WeightSourceOptions& options,
                                                        Diagnostics& diagnostics) {
  auto source = std::make_unique<MemorySource>(origin, std::move(weights), options);
  if (!source->check_sizes(diagnostics)) return nullptr;
  return source;
}

std::unique_ptr<WeightSource> memory_weights(std::vector<MemoryWeight> weights,
                                             const WeightSourceOptions& options,
                                             Diagnostics& diagnostics) {
  return detail::memory_weights_of({}, std::move(weights), options, diagnostics);
}

std::unique_ptr<WeightSource> open_weights(const std::string& path,
                                           const WeightSourceOptions& options,
                                           Diagnostics& diagnostics) {
  const std::filesystem::path at(path);
  std::error_code code;
  if (std::filesystem::is_directory(at, code)) {
    auto source = std::make_unique<FilesSource>(path, options);
    if (!source->add_folder(at, diagnostics)) return nullptr;
    return source;
  }
  if (at.extension() == ".safetensors") {
    auto source = std::make_unique<SafetensorsSource>(path, options);
    if (!source->open(diagnostics)) return nullptr;
    return source;
  }
  auto source = std::make_unique<FilesSource>(path, options);
  if (!source->add(at, diagnostics)) return nullptr;
  // Looked into now, so that a file that is not there or broken is reported before any work.
  Diagnostics faults;
  if (!source->has_one_tensor(0, faults)) {
    diagnostics.append(faults);
    return nullptr;
  }
  return source;
}

std::unique_ptr<WeightSource> mapped_weights(std::unique_ptr<WeightSource> source,
                                             std::string_view map_text, std::string_view map_name,
                                             Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  if (source == nullptr) return nullptr;
  const std::vector<std::string> names = source->names();
  std::unordered_map<std::string, MapEntry> entries;
  std::uint32_t number = 0;
  while (!map_text.empty()) {
    const std::size_t newline = map_text.find('\n');
    const std::string_view line = map_text.substr(0, newline);
    map_text.remove_prefix(newline == std::string_view::npos ? map_text.size() : newline + 1);
    ++number;
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) continue;
    const auto place_of = [&](std::string_view word) {
      return Place(std::string(map_name), number,
                   static_cast<std::uint32_t>(word.data() - line.data()) + 1,
                   static_cast<std::uint32_t>(word.size()));
    };
    const bool transposed = words.size() == 4 && words[2] == "transpose";
    if (!(words.size() == 3 || transposed) || words[1] != "=") {
      diagnostics.error(
          rule<"map.syntax">.id(),
          fmt::format(
              "'{}' is neither 'NAME = TENSOR' nor 'NAME = transpose TENSOR'",
              printable(line.substr(static_cast<std::size_t>(words[0].data() - line.data())))),
          place_of(words[0]));
      continue;
    }
    MapEntry entry{std::string(words.back()), transposed};
    WeightDescription unused;
    if (!source->describe(entry.tensor, unused)) {
      diagnostics.error(rule<"map.tensor">.id(),
                        fmt::format("{} has no tensor '{}'{}", source->where(),
                                    printable(entry.tensor), guess(entry.tensor, names)),
                        place_of(words.back()));
    }
    const auto [first, is_new] = entries.emplace(std::string(words[0]), entry);
    if (!is_new) {
      diagnostics.error(
          rule<"map.duplicate">.id(),
          fmt::format("'{}' is '{}' on an earlier line and '{}' here", printable(words[0]),
                      printable(first->second.tensor), printable(entry.tensor)),
          place_of(words[0]));
    }
  }
  if (diagnostics.errors() != errors_before) return nullptr;
  return std::make_unique<MappedSource>(std::move(source), std::move(entries));
}

bool check_weights_of(const WeightSource& source, std::span<const WeightRequest> requests,
                      Diagnostics& diagnostics, std::span<const std::string_view> ignored) {
  const std::size_t errors_before = diagnostics.errors();
  const std::vector<std::string> names = source.names();
  std::vector<std::string_view> wanted(ignored.begin(), ignored.end());
  wanted.reserve(wanted.size() + requests.size());
  for (const WeightRequest& request : requests) wanted.push_back(request.name);
  std::sort(wanted.begin(), wanted.end());
  std::vector<std::string> unwanted;
  for (const std::string& name : names) {
    if (!std::binary_search(wanted.begin(), wanted.end(), std::string_view(name))) {
      unwanted.push_back(name);
    }
  }
  for (const WeightRequest& request : requests) {
    WeightDescription has;
    if (source.describe(request.name, has)) {
      source.check(request, false, diagnostics);
    } else {
      // A tensor that is another weight is not the one that was meant.
      report_missing(request.name, source.where(), unwanted, diagnostics);
    }
  }
  if (!unwanted.empty()) {
    std::string extra;
    for (const std::string& name : unwanted) extra += (extra.empty() ? "" : ", ") + printable(name);
    diagnostics.warning(rule<"weight.extra">.id(),
                        fmt::format("{} has {} weight{} that nothing asks for: {}", source.where(),
                                    unwanted.size(), unwanted.size() == 1 ? "" : "s", extra));
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace milgen
