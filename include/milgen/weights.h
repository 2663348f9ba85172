// Weight files (MILBlob version 2, mil_text_format section 6) and where the values in them come
// from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/fill.h"
#include "milgen/shape.h"

namespace milgen {

// --- The format. All numbers are little-endian. ---

/// A file is a header and then, for each payload, padding to the alignment, a record, the payload.
/// Nothing follows the last payload.
inline constexpr std::uint64_t kWeightAlignmentBytes = 64;
inline constexpr std::uint64_t kWeightHeaderBytes = 64;
inline constexpr std::uint64_t kWeightRecordBytes = 64;
inline constexpr std::uint32_t kWeightFileVersion = 2;
inline constexpr std::uint32_t kWeightSentinel = 0xDEADBEEFu;

/// The number that a weight file has for `dtype`, 1 to 17; 0 for one that it cannot hold (bool,
/// string, fp64, int64, uint64).
std::uint32_t weight_dtype_code(DType dtype);
/// DType::none for a number that stands for nothing.
DType dtype_from_weight_code(std::uint32_t code);

/// The bytes of `count` elements as a weight file packs them, and the bits of the last byte that
/// are not used (only dtypes below 8 bits have such). False for a dtype without a size, or when the
/// size does not fit in 63 bits.
bool payload_bytes(DType dtype, std::uint64_t count, std::uint64_t& size_bytes,
                   std::uint32_t& padding_bits);

/// Elements below 8 bits, packed: element i starts at bit i * width, counted from the low bit of
/// the first byte; int4 is two's complement, all others are unsigned. `packed` and `unpacked` have
/// the bytes that `count` elements take and one byte an element (int4 sign-extended). False when
/// the dtype is not below 8 bits, a span has another size, or, packing, an element does not fit in
/// the dtype (`bad_index` is then the first such).
bool pack_elements(DType dtype, std::span<const std::uint8_t> unpacked, std::span<std::byte> packed,
                   std::size_t& bad_index);
bool unpack_elements(DType dtype, std::span<const std::byte> packed,
                     std::span<std::uint8_t> unpacked);

/// One record of a weight file and the payload behind it. Offsets count from the file's start.
struct WeightRecord {
  DType dtype = DType::none;
  std::uint64_t offset = 0;       ///< of the record: what BLOBFILE's offset means
  std::uint64_t data_offset = 0;  ///< of the payload; offset + 64 in a file that keeps the format
  std::uint64_t size_bytes = 0;   ///< of the payload
  std::uint32_t padding_bits = 0;

  friend bool operator==(const WeightRecord&, const WeightRecord&) = default;
};

/// The number of elements in a record's payload.
std::uint64_t element_count(const WeightRecord& record);

struct WeightPayloadSize {
  DType dtype = DType::none;
  std::uint64_t size_bytes = 0;
  std::uint32_t padding_bits = 0;
};

/// Where payloads of these sizes stand in a file, in this order. False, with nothing planned, when
/// a dtype has no weight-file form, a size is not a whole number of elements, there are more than
/// 2^32 - 1 payloads, or the file would not fit in 63 bits.
bool plan_weight_records(std::span<const WeightPayloadSize> payloads,
                         std::vector<WeightRecord>& records, std::uint64_t& file_bytes);

/// SHA-256 of the bytes, as 64 lower-case hex digits.
std::string sha256_hex(std::span<const std::byte> bytes);

/// Elements [first, first + out.size()) of a payload, which needs no alignment. Every dtype that a
/// weight file holds is exact as a double, every integer one as an int64. False, with `out` as it
/// was, for another dtype (for int64 a float one too) and when the payload's bytes have fewer
/// elements. element_count() of the record says where its elements end: unused bits of the last
/// byte may be enough for one more.
bool read_elements(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                   std::span<double> out);
bool read_elements(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                   std::span<std::int64_t> out);

// --- Reading. ---

enum class ReadMode : std::uint8_t {
  /// The file is walked record by record and held against the format.
  strict,
  /// For files that hand-written tools made and Apple's compiler takes (mil_text_format section
  /// 6.1): a count of 1 before several records, records that are not at a multiple of 64, sizes and
  /// offsets left zero or constant, fp16 for any dtype. Such a file cannot be walked; references
  /// say where records are and what they hold.
  lenient,
  /// The same without references: records are looked for by their sentinels, dtypes are believed,
  /// and a size that the file does not prove is the distance to the next record. To look at a
  /// file, not to compute with it.
  guess,
};

/// What a program says of a record: BLOBFILE's offset and the tensor type beside it.
struct RecordReference {
  std::string_view name;  ///< of the weight, for reports; may be empty
  std::uint64_t offset = 0;
  DType dtype = DType::none;
  std::uint64_t elements = 0;
};

struct ReadOptions {
  ReadMode mode = ReadMode::strict;
  /// ReadMode::lenient alone looks at them, and only while the file is opened. In any order.
  std::span<const RecordReference> references = {};
};

/// A weight file, mapped or in memory, gone over when it is opened. Nothing is believed before it
/// is checked, and nothing outside of the file is read.
///
/// ReadMode::lenient gives a record for each offset that is referred to, with the dtype and size of
/// the first reference to it, and its payload at the record's own offset, or right behind the
/// record where that is zero. Each liberty is a warning, one a kind with the first place and the
/// number of places: `blob.lenient_count`, `blob.lenient_alignment`, `blob.lenient_dtype`,
/// `blob.lenient_size`, `blob.lenient_offset`, `blob.padding`. Errors remain: bytes at an offset
/// that are not the sentinel (`blob.sentinel`), a record or payload outside of the file
/// (`blob.range`) or over the header or a record (`blob.overlap`), a reference without a size
/// (`weight.dtype`, `weight.size`), another version (`blob.version`).
///
/// ReadMode::guess says that it guesses (`blob.guess`) and warns the same way.
class WeightFileReader {
 public:
  WeightFileReader();
  WeightFileReader(WeightFileReader&& other) noexcept;
  WeightFileReader& operator=(WeightFileReader&& other) noexcept;
  ~WeightFileReader();

  /// Reports every fault (`blob.*`, `file.*`; the place is the file). False when there was an
  /// error; records() then has those records that could be made out, sound or not.
  bool open(const std::string& path, Diagnostics& diagnostics, const ReadOptions& options = {});
  /// The same for bytes that outlive the reader; `name` is what reports call them.
  bool open(std::span<const std::byte> bytes, std::string_view name, Diagnostics& diagnostics,
            const ReadOptions& options = {});

  /// In the order of their offsets.
  const std::vector<WeightRecord>& records() const;
  /// The record that stands at `offset`; null when there is none.
  const WeightRecord* find(std::uint64_t offset) const;
  /// The payload's bytes; empty when they do not lie inside the file.
  std::span<const std::byte> payload(const WeightRecord& record) const;
  std::uint64_t file_bytes() const;
  /// The whole file, for as long as the reader has it open.
  std::span<const std::byte> bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// --- Writing. ---

/// Where bytes of a payload go, in order.
class WeightSink {
 public:
  virtual ~WeightSink();
  /// Takes the next bytes. False when they could not be taken, which has been reported.
  virtual bool write(std::span<const std::byte> bytes, Diagnostics& diagnostics) = 0;
  /// Memory that the next bytes can be made in instead of being copied: at most `wanted_bytes`, at
  /// least the smaller of that and 4096. Valid until the next call. An empty span when the sink has
  /// none to give.
  virtual std::span<std::byte> lend(std::uint64_t wanted_bytes);
  /// Takes the first `size_bytes` of what was lent last.
  virtual bool accept(std::size_t size_bytes, Diagnostics& diagnostics);
};

/// Collects a payload in memory that the caller gives; more than it holds is `blob.payload`.
class MemorySink final : public WeightSink {
 public:
  explicit MemorySink(std::span<std::byte> target) : target_(target) {}
  bool write(std::span<const std::byte> bytes, Diagnostics& diagnostics) override;
  std::span<std::byte> lend(std::uint64_t wanted_bytes) override;
  bool accept(std::size_t size_bytes, Diagnostics& diagnostics) override;
  std::size_t size() const { return size_; }

 private:
  std::span<std::byte> target_;
  std::size_t size_ = 0;
};

/// Hashes a payload and keeps nothing of it.
class HashSink final : public WeightSink {
 public:
  HashSink();
  ~HashSink() override;
  bool write(std::span<const std::byte> bytes, Diagnostics& diagnostics) override;
  std::uint64_t size_bytes() const { return size_bytes_; }
  /// SHA-256 of everything so far, 64 hex digits; the sink is then new again.
  std::string finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::uint64_t size_bytes_ = 0;
};

/// Writes one weight file whose records were planned before: header, records and padding by itself,
/// the payloads as they come. Memory stays below 1 MiB whatever the payloads' size. The bytes go to
/// a file beside `path` that takes its place at commit(); without that, and after any error, `path`
/// stays as it was.
class WeightFileWriter final : public WeightSink {
 public:
  WeightFileWriter();
  ~WeightFileWriter() override;

  /// `records` as plan_weight_records() gave them; `blob.plan` when they are not.
  bool open(const std::string& path, std::vector<WeightRecord> records, Diagnostics& diagnostics);
  /// Ends the payload before it, which must be complete, and begins the next. `blob.payload` when
  /// the one before it is not complete or there is none left.
  bool begin_payload(Diagnostics& diagnostics);
  /// More bytes than the payload was planned with are `blob.payload`.
  bool write(std::span<const std::byte> bytes, Diagnostics& diagnostics) override;
  std::span<std::byte> lend(std::uint64_t wanted_bytes) override;
  bool accept(std::size_t size_bytes, Diagnostics& diagnostics) override;
  /// Checks that every payload is complete, writes what is left, and puts the file in place.
  bool commit(Diagnostics& diagnostics);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The same bytes in memory: a whole file of these payloads. Empty when plan_weight_records()
/// refuses the sizes.
struct WeightPayload {
  DType dtype = DType::none;
  std::span<const std::byte> bytes;
  std::uint32_t padding_bits = 0;
};
std::vector<std::byte> weight_file_bytes(std::span<const WeightPayload> payloads);

/// fp32 values as the bytes of an fp16 weight file with one record, written into `file`, which has
/// the size that plan_weight_records() gives. `values` is a row-major [rows, columns] matrix, or
/// with `transposed` is stored as [columns, rows]. Rounded to nearest, ties to even. What overflows
/// or is not a number is `weight.overflow` and `weight.nan`, as warnings.
bool half_weight_file(std::string_view name, std::span<const float> values, std::uint64_t rows,
                      std::uint64_t columns, bool transposed, std::span<std::byte> file,
                      Diagnostics& diagnostics);

// --- Where values come from. ---

/// A weight that a program wants.
struct WeightRequest {
  std::string_view name;
  DType dtype = DType::none;
  Shape shape;
  /// The formula that the kernel declares; only a seeded source looks at it.
  Fill fill = Fill::uniform;
};

/// What a source knows of a weight.
struct WeightDescription {
  /// DType::none when the source does not say: a raw file, a seeded source, a dtype that milgen
  /// does not know.
  DType dtype = DType::none;
  Shape shape;
  bool shape_known = false;  ///< raw and weight files have values and no shape
};

/// Values by name. Sources made by the functions below report, each with the weight's name:
/// `weight.missing` (not there), `weight.shape` (another shape), `weight.size` (a raw or weight
/// file of another size), `weight.convert` (a dtype that is not converted to the wanted one),
/// `weight.range` (an integer that does not fit), and `weight.overflow` and `weight.nan` with the
/// count and the first place: values that are finite in the source and infinite in the weight, and
/// values that are not a number.
///
/// Converted are fp16, fp32, fp64 and bf16 to each other, rounded once to nearest, ties to even,
/// and integers to integers that hold their values. A shape that differs by dims of 1 alone is the
/// wanted one: [768, 768] serves [768, 768, 1, 1].
class WeightSource {
 public:
  virtual ~WeightSource();

  /// Whether the weight is there, without reading it.
  virtual bool describe(std::string_view name, WeightDescription& description) const = 0;
  /// The weights that are there, sorted; empty for a source that has any name (seeded).
  virtual std::vector<std::string> names() const = 0;
  /// How messages call the source: "'layer.safetensors'". The plain version says "the source".
  virtual std::string where() const;
  /// Reports every error that read(), or read_transposed(), would report before it looks at
  /// values, and no warning. The plain version holds describe() against the request.
  virtual bool check(const WeightRequest& request, bool transposed, Diagnostics& diagnostics) const;
  /// Writes exactly the payload: payload_bytes() of the wanted dtype and shape, row-major. False
  /// when an error was reported; the sink may then have got some of it.
  virtual bool read(const WeightRequest& request, WeightSink& sink, Diagnostics& diagnostics) = 0;
  /// The matrix that is the transpose of the one that the source has under the name. `request` has
  /// the shape after the transposition. The plain version goes through memory of the payload's
  /// size.
  virtual bool read_transposed(const WeightRequest& request, WeightSink& sink,
                               Diagnostics& diagnostics);
};

struct WeightSourceOptions {
  /// Makes errors of `weight.overflow` and `weight.nan`, which otherwise are warnings, and of what
  /// is warned of in a weight file.
  bool strict = false;
};

/// Every weight by the formula that its request names (golden/README.md, "Seeded weights").
std::unique_ptr<WeightSource> seeded_weights(std::uint64_t seed);

/// The payload of one weight by formula. `weight.fill` when the formula does not fit the dtype or
/// the shape: causal_mask wants a float dtype and two equal last dims, the others any dtype that a
/// weight file holds.
bool fill_weight(const WeightRequest& request, std::uint64_t seed, WeightSink& sink,
                 Diagnostics& diagnostics);

/// From a folder or a file, told apart by what is there:
///   - a folder: NAME.bin, NAME.raw and NAME.npy for the weight NAME, or where it has none of them
///     those in its folder `weights`, so that a folder that emit() wrote is a source;
///   - FILE.npy or any other file: one weight, named as the file without its extension;
///   - FILE.safetensors: the tensors in it.
///
/// NAME.bin and NAME.raw are weight files or raw ones: little-endian values alone. A file is a
/// weight file, whatever its size, when it begins as one: version 2 at byte 4, zeros from 8 to 63,
/// the sentinel at 64. Values of a weight do not look so, and a file that does and is broken is
/// reported (`blob.*`) instead of being taken for values. It has one record, whose dtype is
/// believed and whose bytes have to be as many as the weight takes; records have no names, so a
/// file of several is `weight.records`. A raw file of the weight's own size is of its dtype, one of
/// 4 bytes an element is fp32; every other size is `weight.size`.
///
/// Null when an error was reported (`file.*`, `npy.*`, `safetensors.*`, `weight.duplicate`,
/// `weight.records`, `weight.none`).
std::unique_ptr<WeightSource> open_weights(const std::string& path,
                                           const WeightSourceOptions& options,
                                           Diagnostics& diagnostics);

/// Values that are in memory and outlive the source. The bytes are packed as in a weight file and
/// need no alignment. `weight.size` when the bytes are not those of dtype and shape,
/// `weight.duplicate` when a name comes twice; null then.
struct MemoryWeight {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  std::span<const std::byte> bytes;
};
std::unique_ptr<WeightSource> memory_weights(std::vector<MemoryWeight> weights,
                                             const WeightSourceOptions& options,
                                             Diagnostics& diagnostics);

/// Other names in front of a source. `map_text` has a line `NAME = TENSOR` for each weight, or
/// `NAME = transpose TENSOR`, which takes the transposed matrix; blank lines and what follows `#`
/// are skipped. A name that the map does not have is looked up as it is. `map_name` is what reports
/// call the text. Null when an error was reported (`map.syntax`, `map.duplicate`, `map.tensor`).
std::unique_ptr<WeightSource> mapped_weights(std::unique_ptr<WeightSource> source,
                                             std::string_view map_text, std::string_view map_name,
                                             Diagnostics& diagnostics);

/// Holds all of `requests` against a source without reading values: every weight that is missing,
/// in a broken file, or of another shape, dtype or size, and as a warning (`weight.extra`) the
/// names that nothing asks for and that are not among `ignored`. False when there was an error.
bool check_weights_of(const WeightSource& source, std::span<const WeightRequest> requests,
                      Diagnostics& diagnostics, std::span<const std::string_view> ignored = {});

}  // namespace milgen
