#include "ane_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include "control.h"
#include "mil/weight_path.h"

namespace milgen::fake_ane {
namespace {

namespace fs = std::filesystem;

/// Compiles of in-memory models by this process (ane_constraints, RT-001).
std::atomic<long> compiles{0};
std::atomic<std::uint64_t> handles{0};

EngineOptions engine_options() {
  EngineOptions options;
  const std::string rows = text(Key::kRows);
  options.row_pitch_bytes = rows == "packed" ? 1 : rows == "128" ? 128 : 64;
  options.sorted_names = text(Key::kNames) != "declared";
  options.fp32_io = number(Key::kFp32Io) != 0;
  options.rewritten_weights_count = number(Key::kRewrite) != 0;
  const std::string os = text(Key::kOs);
  std::from_chars(os.data(), os.data() + os.size(), options.os_major);
  return options;
}

std::string_view view_of(const NsData& data) {
  return {reinterpret_cast<const char*>(data.bytes().data()), data.bytes().size()};
}

// --- modelAttributes, as public dumps show them (ane_runtime, sections 4.0, 4.5 and 4.6). ---

std::string_view type_name(DType dtype) {
  switch (dtype) {
    case DType::fp16:
      return "Float16";
    case DType::fp32:
      return "Float32";
    case DType::int8:
      return "Int8";
    case DType::int16:
      return "Int16";
    case DType::uint16:
      return "UInt16";
    default:
      return "UInt8";
  }
}

Ref<NsDictionary> symbol_entry(const SymbolLayout& layout) {
  return make_dictionary({{"Name", make_string(layout.symbol)},
                          {"Symbol", make_string(layout.symbol)},
                          {"Type", make_string(type_name(layout.dtype))},
                          {"Batches", make_number(layout.batches)},
                          {"Channels", make_number(layout.channels)},
                          {"Depth", make_number(layout.depth)},
                          {"Height", make_number(layout.height)},
                          {"Width", make_number(layout.width)},
                          {"RowStride", make_number(layout.row_bytes)},
                          {"PlaneStride", make_number(layout.plane_bytes)},
                          {"PlaneCount", make_number(layout.channels)},
                          {"DepthStride", make_number(layout.depth_bytes)},
                          {"BatchStride", make_number(layout.batch_bytes)},
                          {"Interleave", make_number(1)}});
}

Ref<NsArray> symbol_entries(const std::vector<const SymbolLayout*>& layouts) {
  std::vector<Ref<Object>> entries;
  for (const SymbolLayout* layout : layouts) entries.push_back(symbol_entry(*layout));
  return make_array(std::move(entries));
}

std::vector<std::uint64_t> indices(std::uint64_t first, std::size_t count) {
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(first + i);
  return numbers;
}

std::vector<std::uint64_t> input_indices(const LoadedProgram& program, std::size_t procedure) {
  return indices(program.first_input(procedure), program.inputs(procedure).size());
}

std::vector<std::uint64_t> output_indices(const LoadedProgram& program, std::size_t procedure) {
  return indices(program.first_output(procedure), program.outputs(procedure).size());
}

Ref<NsArray> number_array(const std::vector<std::uint64_t>& numbers) {
  std::vector<Ref<Object>> items;
  for (const std::uint64_t value : numbers) {
    items.push_back(make_number(static_cast<std::int64_t>(value)));
  }
  return make_array(std::move(items));
}

Ref<NsDictionary> procedure_entry(const LoadedProgram& program, std::size_t procedure) {
  return make_dictionary(
      {{"ANEFModelInputSymbolIndexArray", number_array(input_indices(program, procedure))},
       {"ANEFModelOutputSymbolIndexArray", number_array(output_indices(program, procedure))},
       {"ANEFModelProcedureID", make_number(static_cast<std::int64_t>(procedure))}});
}

Ref<NsDictionary> make_attributes(const LoadedProgram& program) {
  std::vector<std::string> input_symbols;
  std::vector<std::string> output_symbols;
  std::vector<Ref<Object>> procedures;
  std::vector<Ref<Object>> networks;
  for (std::size_t i = 0; i < program.procedure_count(); ++i) {
    for (const SymbolLayout* input : program.inputs(i)) input_symbols.push_back(input->symbol);
    for (const SymbolLayout* output : program.outputs(i)) output_symbols.push_back(output->symbol);
    procedures.push_back(procedure_entry(program, i));
    networks.push_back(make_dictionary({{"Name", make_string(program.procedure_name(i))},
                                        {"LiveInputList", symbol_entries(program.inputs(i))},
                                        {"LiveOutputList", symbol_entries(program.outputs(i))}}));
  }
  const Ref<NsDictionary> description =
      make_dictionary({{"kANEFModelInputSymbolsArrayKey", make_array(input_symbols)},
                       {"kANEFModelOutputSymbolsArrayKey", make_array(output_symbols)},
                       {"ANEFModelProcedures", make_array(std::move(procedures))}});
  return make_dictionary({{"ANEFModelDescription", description},
                          {"NetworkStatusList", make_array(std::move(networks))}});
}

/// Counts an evaluation for as long as it takes.
class InFlight {
 public:
  explicit InFlight(std::atomic<int>& count) : count_(count), others_(count_.fetch_add(1)) {}
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  ~InFlight() { count_.fetch_sub(1); }
  int others() const { return others_; }

 private:
  std::atomic<int>& count_;
  int others_;
};

std::uint64_t ns_since(std::chrono::steady_clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count());
}

}  // namespace

std::string default_folder(const std::string& identifier) {
  const char* folder = std::getenv("TMPDIR");
  return (fs::path(folder != nullptr && *folder != '\0' ? folder : "/tmp") / identifier).string();
}

std::string call_arguments(unsigned qos, NsDictionary* options) {
  if (!log_wanted()) return {};
  return fmt::format("qos={} options={}", qos,
                     options == nullptr     ? "nil"
                     : options->size() == 0 ? "{}"
                                            : "{...}");
}

void give_error(Object** error, const EngineError& what) {
  if (what.code == 0) return;
  // The reason stands where the real one would have that of the driver.
  Ref<NsError> reason;
  if (!what.detail.empty()) reason = make_error("milgen.fake", 0, what.detail);
  set_error(error,
            make_error(std::string(kErrorDomain), what.code, what.description, std::move(reason)));
}

void log_answer(std::string_view message, std::string_view arguments, bool done,
                const EngineError& error) {
  if (!log_wanted()) return;
  std::string line =
      fmt::format("{}{}{} -> {}", message, arguments.empty() ? "" : " ", arguments, done ? 1 : 0);
  if (!done) line += fmt::format(" code={} {}", error.code, error.detail);
  std::ranges::replace(line, '\n', ' ');
  log_call(line);
}

// --- _ANEModel ---

Ref<Model> Model::at_url(Class&, NsUrl* url, NsString*) {
  return url == nullptr ? nullptr : make<Model>(url->path());
}

Model::Model(std::string folder) : is_package_(true), folder_(std::move(folder)) {}

Model::Model(ModelSource source, ModelDigests digests)
    : is_package_(false),
      source_(std::move(source)),
      digests_(std::move(digests)),
      folder_(default_folder(digests_.identifier())) {}

Model::~Model() {
  if (program_ != nullptr) violation("a model is freed while it is loaded");
  if (!mapped_.empty()) {
    violation(fmt::format("a model is freed while {} requests are mapped", mapped_.size()));
  }
}

std::string Model::folder() const {
  const std::scoped_lock lock(mutex_);
  return folder_;
}

void Model::set_folder(std::string folder) {
  const std::scoped_lock lock(mutex_);
  folder_ = std::move(folder);
}

bool Model::is_known() const {
  const std::scoped_lock lock(mutex_);
  return compiled_ || program_ != nullptr;
}

bool Model::read_source(ModelSource& source, ModelDigests& digests, EngineError& error) const {
  const std::string folder = this->folder();
  if (!is_package_) {
    source = source_;
    digests = digests_;
    source.folder = folder;
    return true;
  }
  if (!read_package(folder, source, error)) return false;
  digests = {text_hash(source.text), text_hash({}), weights_hash(source.weights)};
  return true;
}

bool Model::compile(EngineError& error) {
  const Ref<Model> keep(this);
  hang_point("compile");
  // Peers that compile packages through the client do not meet the limit (ane_runtime, 4.7).
  if (!is_package_ && compiles.fetch_add(1) >= number(Key::kBudget)) {
    error.detail = "the budget of compiles is used up";
    return false;
  }
  if (fails(Key::kFailCompile)) {
    return error.set(kCompileError, kCompileFailed, "the setting fail_compile");
  }
  ModelSource source;
  ModelDigests digests;
  if (!read_source(source, digests, error) || !compile_program(source, engine_options(), error)) {
    return false;
  }
  const std::scoped_lock lock(mutex_);
  compiled_ = true;
  return true;
}

bool Model::load(EngineError& error) {
  const Ref<Model> keep(this);
  hang_point("load");
  {
    const std::scoped_lock lock(mutex_);
    if (program_ != nullptr) {
      violation("a model is loaded twice");
      return true;
    }
  }
  const bool done = do_load(error);
  if (done) return true;
  const std::scoped_lock lock(mutex_);
  state_ = State::failed;
  return false;
}

bool Model::do_load(EngineError& error) {
  if (fails(Key::kFailLoad)) {
    return error.set(kLoadError, kLoadFailed, "the setting fail_load");
  }
  ModelSource source;
  ModelDigests digests;
  if (!read_source(source, digests, error)) return false;
  std::shared_ptr<LoadedProgram> program =
      LoadedProgram::load(source.folder, source.text, digests.weights, engine_options(), error);
  if (program == nullptr) return false;
  // Loading clears the mask, which has to be set both before and after (ane_runtime, 4.9).
  mask_at_load_ = stats_mask_.exchange(0);
  const std::scoped_lock lock(mutex_);
  program_ = std::move(program);
  state_ = State::loaded;
  handle_ = ++handles;
  if (number(Key::kAttributes) != 0) attributes_ = make_attributes(*program_);
  return true;
}

bool Model::unload(EngineError& error) {
  hang_point("unload");
  const std::scoped_lock lock(mutex_);
  if (in_flight_ != 0) {
    trap("a model is unloaded while it is evaluated");
    return false;
  }
  if (program_ == nullptr) {
    if (state_ == State::unloaded) violation("a model is unloaded twice");
    return error.set(kLoadError, kLoadFailed, "the model is not loaded");
  }
  if (!mapped_.empty()) {
    violation(fmt::format("a model is unloaded while {} requests are mapped", mapped_.size()));
    mapped_.clear();
  }
  program_.reset();
  attributes_ = nullptr;
  handle_ = 0;
  state_ = State::unloaded;
  return true;
}

std::shared_ptr<LoadedProgram> Model::loaded(std::string_view verb, EngineError& error) {
  const std::scoped_lock lock(mutex_);
  if (program_ != nullptr) return program_;
  if (state_ == State::unloaded) {
    trap(fmt::format("a model is {} after it was unloaded", verb));
  } else {
    violation(fmt::format("a model is {} before it was loaded", verb));
  }
  error.set(kInferenceError, kInferenceFailed, "the model is not loaded");
  return nullptr;
}

bool Model::evaluate(Request* request, EngineError& error) {
  const auto start = std::chrono::steady_clock::now();
  if (request == nullptr) {
    trap("a model is evaluated without a request");
    return false;
  }
  const Ref<Model> keep(this);
  const Ref<Request> keep_request(request);
  const std::shared_ptr<LoadedProgram> program = loaded("evaluated", error);
  if (program == nullptr) return false;
  const InFlight in_flight(in_flight_);
  if (in_flight.others() != 0 && number(Key::kSerial) != 0) {
    violation("a model is evaluated by two threads at a time");
  }
  hang_point("evaluate");
  if (fails(Key::kFailEvaluate)) {
    return error.set(kInferenceError, kInferenceFailed, "the setting fail_evaluate");
  }
  if (request->shared_events() != nullptr && !is_package_ && number(Key::kEventsInMemory) == 0) {
    // One source (ane_runtime, 4.9); the setting is for those who find it otherwise.
    return error.set(kInferenceError, kInferenceFailed,
                     "shared events are for package models only");
  }
  if (request->shared_events() != nullptr) request->shared_events()->wait();
  if (const IoSurface* locked = request->locked_surface(); locked != nullptr) {
    trap(fmt::format("surface {} is evaluated while the CPU has it locked", locked->id()));
    return error.set(kInferenceError, kInferenceFailed, "a surface is locked");
  }
  const bool done = run(*program, *request, error);
  if (const long latency = number(Key::kLatencyUs); latency > 0) {
    std::this_thread::sleep_until(start + std::chrono::microseconds(latency));
  }
  if (done && request->shared_events() != nullptr) request->shared_events()->signal();
  return done;
}

bool Model::run(LoadedProgram& program, Request& request, EngineError& error) {
  const auto start = std::chrono::steady_clock::now();
  const bool strict = number(Key::kStrict) != 0;
  if (!program.evaluate(request.procedure(), request.inputs(), request.outputs(), strict, error)) {
    violation(error.detail);
    return false;
  }
  const bool counts = stats_mask_ != 0 && mask_at_load_ != 0;
  const long fixed = number(Key::kHwNs);
  if (counts) {
    request.report_ns(fixed >= 0 ? static_cast<std::uint64_t>(fixed) : ns_since(start));
  }
  return true;
}

bool Model::map(Request* request, bool, EngineError& error) {
  if (request == nullptr) {
    trap("surfaces are mapped without a request");
    return false;
  }
  hang_point("map");
  if (loaded("mapped", error) == nullptr) return false;
  if (fails(Key::kFailMap)) {
    return error.set(kInferenceError, "Program IOSurfaces map failure", "the setting fail_map");
  }
  const std::scoped_lock lock(mutex_);
  const auto same = [&](const Ref<Request>& other) { return other.get() == request; };
  if (std::ranges::any_of(mapped_, same)) {
    violation("a request is mapped twice");
  } else {
    mapped_.emplace_back(request);
  }
  return true;
}

void Model::unmap(Request* request) {
  Ref<Request> keep;  // released behind the lock
  const std::scoped_lock lock(mutex_);
  const auto same = [&](const Ref<Request>& other) { return other.get() == request; };
  const auto at = std::ranges::find_if(mapped_, same);
  if (at == mapped_.end()) {
    violation("a request is unmapped that is not mapped");
    return;
  }
  keep = *at;
  mapped_.erase(at);
}

bool Model::compiled_exists() {
  EngineError ignored;
  ModelSource source;
  ModelDigests digests;
  return read_source(source, digests, ignored) &&
         fake_ane::compiled_exists(source.folder, digests.text, digests.weights);
}

void Model::purge() {
  remove_compiled(folder());
  const std::scoped_lock lock(mutex_);
  compiled_ = false;
}

NsDictionary* Model::attributes() {
  const std::scoped_lock lock(mutex_);
  return attributes_.get();
}

Ref<NsIndexSet> Model::input_symbols(unsigned procedure) const {
  const std::scoped_lock lock(mutex_);
  const bool known = attributes_ && procedure < program_->procedure_count();
  return known ? make<NsIndexSet>(input_indices(*program_, procedure)) : make<NsIndexSet>();
}

Ref<NsIndexSet> Model::output_symbols(unsigned procedure) const {
  const std::scoped_lock lock(mutex_);
  const bool known = attributes_ && procedure < program_->procedure_count();
  return known ? make<NsIndexSet>(output_indices(*program_, procedure)) : make<NsIndexSet>();
}

Ref<NsDictionary> Model::procedure_info(unsigned procedure) {
  const std::scoped_lock lock(mutex_);
  const bool known = attributes_ && procedure < program_->procedure_count();
  return known ? procedure_entry(*program_, procedure) : nullptr;
}

std::uint64_t Model::state() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::uint64_t>(state_);
}

std::uint64_t Model::program_handle() const {
  const std::scoped_lock lock(mutex_);
  return handle_;
}

Ref<Object> Model::program() const {
  const std::uint64_t handle = program_handle();
  if (handle == 0) return nullptr;
  return make<ProgramObject>(handle);
}

Ref<NsString> Model::uuid() const {
  const std::string digest = text_hash(folder());
  return make_string(fmt::format("{}-{}-{}-{}-{}", digest.substr(0, 8), digest.substr(8, 4),
                                 digest.substr(12, 4), digest.substr(16, 4),
                                 digest.substr(20, 12)));
}

// --- _ANEInMemoryModelDescriptor ---

namespace {

/// The weights dictionary: path -> { "offset": NSNumber, "data": NSData }.
bool take_weight(Object* key, Object* value, std::vector<WeightFileBytes>& weights) {
  const NsString* path = cast<NsString>(key);
  const NsDictionary* entry = cast<NsDictionary>(value);
  if (path == nullptr || entry == nullptr) {
    trap(fmt::format("the weights hold {} for {}, and want an NSDictionary for an NSString",
                     value->description(), key->description()));
    return false;
  }
  const NsData* data = cast<NsData>(entry->find("data"));
  const NsNumber* offset = cast<NsNumber>(entry->find("offset"));
  if (data == nullptr || offset == nullptr) {
    trap(fmt::format("the weights of {} have no NSNumber \"offset\" or no NSData \"data\"",
                     path->text()));
    return false;
  }
  // Peers pass 0, one passes 64 (ane_runtime, section 4.2).
  if (offset->as_int64() != 0 && offset->as_int64() != 64) {
    violation(fmt::format("the weights of {} have offset {}", path->text(), offset->as_int64()));
  }
  weights.push_back({path->text(), std::make_shared<const std::vector<std::byte>>(
                                       data->bytes().begin(), data->bytes().end())});
  return true;
}

}  // namespace

Ref<Descriptor> Descriptor::with_text(Class&, NsData* text, NsDictionary* weights,
                                      NsData* options) {
  if (text == nullptr) return nullptr;
  ModelSource source;
  source.text = view_of(*text);
  if (weights != nullptr) {
    for (const auto& [key, value] : weights->entries()) {
      if (!take_weight(key.get(), value.get(), source.weights)) return nullptr;
    }
  }
  std::ranges::sort(source.weights, {}, &WeightFileBytes::path);
  ModelDigests digests = {
      .text = fake_ane::text_hash(source.text),
      .options = fake_ane::text_hash(options == nullptr ? std::string_view() : view_of(*options)),
      .weights = fake_ane::weights_hash(source.weights)};
  if (log_wanted()) {
    log_call(fmt::format(
        "+[_ANEInMemoryModelDescriptor modelWithMILText:weights:optionsPlist:] bytes={} weights={}",
        source.text.size(), source.weights.size()));
  }
  return make<Descriptor>(std::move(source), std::move(digests));
}

// --- _ANEInMemoryModel ---

Ref<InMemoryModel> InMemoryModel::with_descriptor(Class&, Descriptor* descriptor) {
  if (descriptor == nullptr) return nullptr;
  log_call("+[_ANEInMemoryModel inMemoryModelWithDescriptor:]");
  return make<InMemoryModel>(make<Model>(descriptor->source(), descriptor->digests()));
}

Ref<NsString> InMemoryModel::identifier() const {
  log_call("-[_ANEInMemoryModel hexStringIdentifier]");
  return make_string(model_->digests().identifier());
}

void InMemoryModel::set_url(NsUrl* url) {
  log_call("-[_ANEInMemoryModel setModelURL:]");
  if (url != nullptr) model_->set_folder(url->path());
}

Ref<NsUrl> InMemoryModel::url() const { return make<NsUrl>(model_->folder()); }

Ref<NsString> InMemoryModel::path() const { return make_string(model_->folder()); }

bool InMemoryModel::save_files() const {
  const std::string folder = model_->folder();
  const auto save = [&](const std::string& name, std::string_view bytes) {
    const fs::path path = fs::path(folder) / name;
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    std::ofstream file(path, std::ios::binary);
    return static_cast<bool>(file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())));
  };
  return save("model.mil", model_->source().text) &&
         std::ranges::all_of(model_->source().weights, [&](const WeightFileBytes& weight) {
           return weight_path_fault(weight.path).empty() &&
                  save(weight.path.substr(kModelPath.size()),
                       {reinterpret_cast<const char*>(weight.bytes->data()), weight.bytes->size()});
         });
}

bool InMemoryModel::compile(unsigned qos, NsDictionary* options, Object** error) {
  return answer("-[_ANEInMemoryModel compileWithQoS:options:error:]", call_arguments(qos, options),
                error, [&](EngineError& what) { return model_->compile(what); });
}

bool InMemoryModel::load(unsigned qos, NsDictionary* options, Object** error) {
  return answer("-[_ANEInMemoryModel loadWithQoS:options:error:]", call_arguments(qos, options),
                error, [&](EngineError& what) { return model_->load(what); });
}

bool InMemoryModel::unload(unsigned qos, Object** error) {
  return answer("-[_ANEInMemoryModel unloadWithQoS:error:]", call_arguments(qos, nullptr), error,
                [&](EngineError& what) { return model_->unload(what); });
}

bool InMemoryModel::evaluate(unsigned qos, NsDictionary* options, Request* request,
                             Object** error) {
  const Ref<Request> keep(request);
  const bool done = answer("-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]",
                           call_arguments(qos, options), error,
                           [&](EngineError& what) { return model_->evaluate(request, what); });
  if (request != nullptr) request->complete(done, error == nullptr ? nullptr : *error);
  return done;
}

bool InMemoryModel::map(Request* request, bool cache_inference, Object** error) {
  return answer("-[_ANEInMemoryModel mapIOSurfacesWithRequest:cacheInference:error:]",
                cache_inference ? "cacheInference=1" : "cacheInference=0", error,
                [&](EngineError& what) { return model_->map(request, cache_inference, what); });
}

void InMemoryModel::unmap(Request* request) {
  log_call("-[_ANEInMemoryModel unmapIOSurfacesWithRequest:]");
  model_->unmap(request);
}

Model* InMemoryModel::model() const { return model_->is_known() ? model_.get() : nullptr; }

void define_ane_model_classes() {
  on_reset([] { compiles = 0; });
  define_class<ProgramObject>("_ANEProgramForEvaluation")
      .method<&ProgramObject::handle>("programHandle")
      .breaks_after_fork();
  define_class<Model>("_ANEModel")
      .class_method<&Model::at_url>("modelAtURL:key:")
      .method<&Model::attributes>("modelAttributes")
      .method<&Model::input_symbols>("inputSymbolIndicesForProcedureIndex:")
      .method<&Model::output_symbols>("outputSymbolIndicesForProcedureIndex:")
      .method<&Model::procedure_info>("procedureInfoForProcedureIndex:")
      .method<&Model::queue_depth>("queueDepth")
      .method<&Model::program_handle>("programHandle")
      .method<&Model::intermediate_buffer_handle>("intermediateBufferHandle")
      .method<&Model::state>("state")
      .method<&Model::program>("program")
      .method<&Model::perf_stats_mask>("perfStatsMask")
      .method<&Model::set_perf_stats_mask>("setPerfStatsMask:")
      .method<&Model::uuid>("getUUID")
      .breaks_after_fork();
  define_class<Descriptor>("_ANEInMemoryModelDescriptor")
      .class_method<&Descriptor::with_text>("modelWithMILText:weights:optionsPlist:")
      .method<&Descriptor::text_hash>("networkTextHash")
      .method<&Descriptor::weights_hash>("weightsHash")
      .method<&Descriptor::options_hash>("optionsPlistHash")
      .method<&Descriptor::is_mil>("isMILModel")
      .breaks_after_fork();
  define_class<InMemoryModel>("_ANEInMemoryModel")
      .class_method<&InMemoryModel::with_descriptor>("inMemoryModelWithDescriptor:")
      .method<&InMemoryModel::identifier>("hexStringIdentifier")
      .method<&InMemoryModel::set_url>("setModelURL:")
      .method<&InMemoryModel::url>("modelURL")
      .method<&InMemoryModel::path>("localModelPath")
      .method<&InMemoryModel::save_files>("saveModelFiles")
      .method<&InMemoryModel::compile>("compileWithQoS:options:error:")
      .method<&InMemoryModel::load>("loadWithQoS:options:error:")
      .method<&InMemoryModel::unload>("unloadWithQoS:error:")
      .method<&InMemoryModel::evaluate>("evaluateWithQoS:options:request:error:")
      .method<&InMemoryModel::map>("mapIOSurfacesWithRequest:cacheInference:error:")
      .method<&InMemoryModel::unmap>("unmapIOSurfacesWithRequest:")
      .method<&InMemoryModel::compiled_exists>("compiledModelExists")
      .method<&InMemoryModel::purge>("purgeCompiledModel")
      .method<&InMemoryModel::model>("model")
      .method<&InMemoryModel::attributes>("modelAttributes")
      .method<&InMemoryModel::state>("state")
      .method<&InMemoryModel::queue_depth>("queueDepth")
      .method<&InMemoryModel::perf_stats_mask>("perfStatsMask")
      .method<&InMemoryModel::set_perf_stats_mask>("setPerfStatsMask:")
      .method<&InMemoryModel::program_handle>("programHandle")
      .method<&InMemoryModel::intermediate_buffer_handle>("intermediateBufferHandle")
      .method<&InMemoryModel::program>("program")
      .breaks_after_fork();
}

}  // namespace milgen::fake_ane
