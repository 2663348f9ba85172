// Ops that are one matrix product: linear, matmul and einsum. What to multiply is settled from
// shapes, before there is data, so that a constant operand can be packed ahead:
//
//     OpProduct p = linear_product(mode, x, weight, bias, out);        // shapes and dtypes only
//     PackRequest request;
//     if (pack_request(p, ProductSide::b, weight.data, request)) packed.pack(request, pool);
//     ...
//     p.use_packed(ProductSide::b, packed);
//     p.run(x.data, nullptr, bias.data, out.data, pool, workspace);    // every time
#pragma once

#include <vector>

#include "cpu/kernel.h"
#include "cpu/product.h"

namespace milgen::cpu {

/// A product of views that lie in the op's tensors. Copies are independent of each other.
struct OpProduct {
  detail::Product product;              ///< without data; `batch` is set by run()
  std::vector<detail::BatchDim> batch;  ///< outermost first

  /// Takes the matrices of `side` from `packed` from now on, which lives as long as this is run.
  void use_packed(detail::ProductSide side, const detail::PackedMatrix& packed);

  /// Multiplies; the data of an operand that is packed is not looked at, that of no bias is null.
  /// False when `workspace` cannot be grown.
  [[nodiscard]] bool run(const void* a, const void* b, const void* bias, void* c, ThreadPool& pool,
                         detail::ProductWorkspace& workspace) const;
};

/// Whether operands and result are fp16 or fp32 each, which is what products are of. Others are
/// converted or multiplied as integers by the kernels.
bool is_float_product(DType a, DType b, DType c);

/// x [..., inner] times the transpose of weight [columns, inner]. Of the bias, null without one,
/// only the dtype is looked at.
OpProduct linear_product(NumericMode mode, const TensorView& x, const TensorView& weight,
                         const TensorView* bias, const TensorView& out);

OpProduct matmul_product(NumericMode mode, const TensorView& x, const TensorView& y,
                         bool transpose_x, bool transpose_y, const TensorView& out);

/// nchw,nwhu->nchu, or without n.
OpProduct einsum_product(NumericMode mode, const TensorView& x, const TensorView& y,
                         const TensorView& out);

/// What to pack when the operand `side` of a product is the constant at `data`: each of its
/// matrices once, whatever they are broadcast to. False where they do not follow each other in
/// memory as whole matrices (an einsum with both n and h), so that the operand has to stay as it
/// is.
bool pack_request(const OpProduct& product, detail::ProductSide side, const void* data,
                  detail::PackRequest& request);

/// Runs a product in the memory of a kernel's run. False after a report.
bool multiply_in(OpRun& run, const OpProduct& product, const void* a, const void* b,
                 const void* bias, void* c);

}  // namespace milgen::cpu
