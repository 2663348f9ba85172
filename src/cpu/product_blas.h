// Products by a CBLAS library, for NumericMode::fast.
#pragma once

#include <cstddef>

#include "cpu/blas.h"
#include "cpu/product.h"
#include "support/thread_pool.h"

namespace milgen::detail {

/// Whether constants are better kept for the library than for our own kernels.
bool blas_wants(const BlasLibrary& blas, const PackRequest& request);

/// Whether the library is the better choice for a product, whose operands are not packed.
bool blas_wants(const BlasLibrary& blas, const Product& product);

std::size_t blas_workspace_bytes(const Product& product, int threads);

/// The product, for which `workspace` has so many bytes. `product.inner` is not 0.
void blas_multiply(const Product& product, const BlasLibrary& blas, ThreadPool& pool,
                   std::byte* workspace);

}  // namespace milgen::detail
