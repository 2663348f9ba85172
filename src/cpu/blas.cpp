#include "cpu/blas.h"

#include <dlfcn.h>

#include <cstdlib>

namespace milgen::detail {
namespace {

/// The function of a library, or null.
template <class Function>
Function function_of(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

/// "OpenBLAS 0.3.21 DYNAMIC_ARCH ..." to its first two words.
std::string first_words(std::string_view config) {
  const std::size_t space = config.find(' ');
  return std::string(config.substr(0, config.find(' ', space == config.npos ? space : space + 1)));
}

void describe_openblas(void* library, BlasLibrary& blas) {
  const auto config = function_of<const char* (*)()>(library, "openblas_get_config");
  if (config == nullptr) return;
  const std::string_view text = config();
  blas.name = first_words(text);
  if (text.find("USE64BITINT") != text.npos) {
    blas.sgemm = nullptr;
    blas.name = "none (" + blas.name + " takes 64-bit sizes)";
  }
  const auto set_threads = function_of<void (*)(int)>(library, "openblas_set_num_threads");
  if (set_threads != nullptr) set_threads(1);
}

/// Tries one file; false leaves why in `blas.name`.
bool load(const std::string& file, BlasLibrary& blas) {
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = ::dlerror();
    blas.name = "none (" + std::string(error == nullptr ? file.c_str() : error) + ")";
    return false;
  }
  blas.sgemm = function_of<BlasSgemm>(library, "cblas_sgemm");
  if (blas.sgemm == nullptr) {
    blas.name = "none (" + file + " has no cblas_sgemm)";
    ::dlclose(library);
    return false;
  }
  blas.has_matrix_unit = file.find("Accelerate.framework") != file.npos;
  blas.name = blas.has_matrix_unit ? "Accelerate" : file;
  describe_openblas(library, blas);
  return blas.sgemm != nullptr;
}

}  // namespace

BlasLibrary load_blas(std::string_view library) {
  BlasLibrary blas;
  if (library == "none") {
    blas.name = "none (as asked for)";
  } else if (!library.empty()) {
    load(std::string(library), blas);
  } else {
    // The file that was found when configuring belongs to a package for developers; a machine that
    // only runs milgen has the library under the name that its version of the interface has.
    constexpr const char* kFiles[] = {MILGEN_BLAS_LIBRARY, "libopenblas.so.0"};
    blas.name = "none (not there when milgen was configured)";
    for (const char* file : kFiles) {
      if (*file != '\0' && load(file, blas)) break;
    }
  }
  return blas;
}

const BlasLibrary& blas_library() {
  static const BlasLibrary library = [] {
    const char* asked = std::getenv("MILGEN_BLAS");  // NOLINT(concurrency-mt-unsafe): read once
    return load_blas(asked == nullptr ? "" : asked);
  }();
  return library;
}

}  // namespace milgen::detail
