/* Programs on Apple's Neural Engine for C, Python's ctypes and every other language that calls C:
 * the library `ane_bridge` (libane_bridge.dylib, libane_bridge.so). Names, signatures and weight
 * files are those of the ane_bridge.h that is in use around the private runtime, so that its
 * callers need no change; ane_bridge_last_error() and this text are new.
 *
 *     ane_bridge_init();
 *     ANEKernelHandle *k = ane_bridge_compile_dyn(mil, strlen(mil), 1, &x_bytes, 1, &w_bytes,
 *                                                 y_bytes);
 *     ane_bridge_write_weight_f32(k, 0, w, w_count);    // any number of times
 *     ane_bridge_write_input(k, 0, x, x_bytes);
 *     if (!ane_bridge_eval(k)) puts(ane_bridge_last_error());
 *     ane_bridge_read_output(k, 0, y, y_bytes);
 *     ane_bridge_free(k);
 *
 * Data. Tensors go in and out packed: row-major, without padding, in the dtype that the MIL text
 * declares; the distance of rows in the engine's surfaces is the bridge's business. Sizes are those
 * of packed tensors: an input tensor<fp16, [1, 64, 1, 32]> has 64 * 32 * 2 = 4096 bytes.
 *
 * Indices. Inputs are counted in the order of the function's parameters, outputs in the order after
 * "} -> (". Which symbol the engine has for each, and in what order, is the bridge's business. The
 * program's function is `main`, or its only one, and the first of the text.
 *
 * Errors. What failed says so by its result, or through ane_bridge_last_error() where it has none,
 * and changes nothing. A handle that was freed, or never was one, is an error of this kind in every
 * function that takes a handle.
 *
 * Threads. Every function may be called by any thread. Calls with one handle exclude each other, in
 * no certain order: two threads that write, evaluate and read one kernel need an agreement of their
 * own. A kernel is freed when the calls that use it have ended. A process that was forked after
 * ane_bridge_init() can use nothing of it.
 *
 * Environment. MILGEN_ANE_LIBRARY: a library that stands in for the frameworks of macOS, such as
 * milgen's fake engine. MILGEN_ANE_CACHE: a folder where later processes find compiled programs;
 * without it they are kept in a folder of this process below TMPDIR, which its normal end removes,
 * but neither a crash nor an exec().
 * MILGEN_ANE_COMPILE_LIMIT: compilations after which this process gets no more (100 without it).
 * MILGEN_ANE_DUMP: a folder where all that is sent to the engine is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANE_BRIDGE_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A program that is loaded, with a surface for each input and output. Not a pointer to anything;
 * no value is given out twice. */
typedef struct ANEKernelHandle ANEKernelHandle;

/* Opens the runtime: 0, or -1 where there is none. Further calls do nothing; after a failure they
 * try again. The compile functions call it, too. */
ANE_BRIDGE_API int ane_bridge_init(void);

/* Why the last call of this thread failed, in one or several lines; "" when it did not. Never NULL;
 * valid until the next call of this thread. Leaves itself as it is. */
ANE_BRIDGE_API const char *ane_bridge_last_error(void);

/* --- Compiling ---
 *
 * All three take `mil_len` bytes of MIL text, without a zero behind them, and give NULL on failure.
 * Nothing that is passed is needed after the call. The sizes are held against the text: as many
 * inputs and outputs as it declares, each with the bytes of its packed tensor.
 *
 * A text with the same weights that was compiled before in this process (or, with
 * MILGEN_ANE_CACHE, by any process) is loaded without compiling, also when it was freed meanwhile.
 * A kernel takes up to some seconds to compile; after a compilation that fails, the next one waits
 * a moment, since the engine's service starts again (ane_runtime, 4.4). */

/* With one weight file, which belongs to the only path that the text's BLOBFILE names, whatever it
 * is ("@model_path/weights/weight.bin" by custom). `weight_data` may be NULL when `weight_len` is 0
 * and the text names none. */
ANE_BRIDGE_API ANEKernelHandle *ane_bridge_compile(const char *mil_text, size_t mil_len,
                                                   const uint8_t *weight_data, size_t weight_len,
                                                   int n_inputs, const size_t *input_sizes,
                                                   int n_outputs, const size_t *output_sizes);

/* With `n_weights` weight files. Each name is the path as BLOBFILE says it, "@model_path/" and all.
 * Names that the text does not have are passed over. */
ANE_BRIDGE_API ANEKernelHandle *ane_bridge_compile_multi_weights(
    const char *mil_text, size_t mil_len, const char **weight_names, const uint8_t **weight_datas,
    const size_t *weight_lens, int n_weights, int n_inputs, const size_t *input_sizes,
    int n_outputs, const size_t *output_sizes);

/* With weights as parameters of the function: the first `n_inputs` are activations, the `n_weights`
 * behind them weights, written by ane_bridge_write_weight() as often as wanted. One output. */
ANE_BRIDGE_API ANEKernelHandle *ane_bridge_compile_dyn(const char *mil_text, size_t mil_len,
                                                       int n_inputs, const size_t *input_sizes,
                                                       int n_weights, const size_t *weight_sizes,
                                                       size_t output_size);

/* Unloads the program and gives its surfaces back. NULL is no error. */
ANE_BRIDGE_API void ane_bridge_free(ANEKernelHandle *kernel);

/* Programs that this process compiled and loaded since it began, or since the reset: those that
 * came out of the cache are not among them. The reset does not give back what the process may
 * compile. */
ANE_BRIDGE_API int ane_bridge_get_compile_count(void);
ANE_BRIDGE_API void ane_bridge_reset_compile_count(void);

/* --- Running --- */

/* Evaluates once, and waits for it, at most 30 s. False on failure. Both are the same. */
ANE_BRIDGE_API bool ane_bridge_eval(ANEKernelHandle *kernel);
ANE_BRIDGE_API bool ane_bridge_run(ANEKernelHandle *kernel);

/* Input `idx`, of a kernel of ane_bridge_compile_dyn() activation `idx`, from `bytes` packed bytes:
 * all of the tensor. It keeps them until it is written again. */
ANE_BRIDGE_API void ane_bridge_write_input(ANEKernelHandle *kernel, int idx, const void *data,
                                           size_t bytes);
/* Output `idx` into `bytes` packed bytes: all of the tensor. Zeros before the first evaluation. */
ANE_BRIDGE_API void ane_bridge_read_output(ANEKernelHandle *kernel, int idx, void *data,
                                           size_t bytes);

/* Weight `idx` of a kernel of ane_bridge_compile_dyn(), from `bytes` packed bytes. */
ANE_BRIDGE_API void ane_bridge_write_weight(ANEKernelHandle *kernel, int idx, const void *fp16_data,
                                            size_t bytes);
/* The same from `count` floats, one for each element; rounded to nearest, ties to even, where the
 * weight is fp16. */
ANE_BRIDGE_API void ane_bridge_write_weight_f32(ANEKernelHandle *kernel, int idx,
                                                const float *fp32_data, size_t count);

/* Output `src_out_idx` of one kernel into input (activation) `dst_in_idx` of another, or the same
 * one, from surface to surface. Both have the same dtype, and as the engine sees them the same
 * shape: [64, 1, 32] is [1, 64, 1, 32]. */
ANE_BRIDGE_API void ane_bridge_copy_io(ANEKernelHandle *src, int src_out_idx, ANEKernelHandle *dst,
                                       int dst_in_idx);

/* Evaluations between the two are a real-time task to the engine's scheduler, of the whole process.
 * There must be a kernel. Pairs may be nested; an end without a begin is an error. That the engine
 * does not grant it is none: evaluations work all the same (ane_runtime, 4.9). */
ANE_BRIDGE_API void ane_bridge_begin_realtime(void);
ANE_BRIDGE_API void ane_bridge_end_realtime(void);

/* --- Weight plans ---
 *
 * What the inputs of a program are made of when its weights come at run time: the table that
 * `milc emit KERNEL --weights-as=packed` writes beside the text. An input may hold an activation
 * with weights packed behind it; with a plan each of them is written by its own name.
 *
 *     ANEWeightPlan *plan = ane_bridge_read_plan(text, strlen(text));
 *     size_t sizes[1] = {ane_bridge_plan_input_bytes(plan, 0)};   // and compile
 *     ane_bridge_write_planned(kernel, plan, "wq", wq, 64 * 64, false);
 */

/* A plan that was read. Not a pointer to anything; no value is given out twice. */
typedef struct ANEWeightPlan ANEWeightPlan;

/* From `len` bytes of text, without a zero behind them. NULL when it is no plan; the error says the
 * line. */
ANE_BRIDGE_API ANEWeightPlan *ane_bridge_read_plan(const char *text, size_t len);
/* NULL is no error. */
ANE_BRIDGE_API void ane_bridge_free_plan(ANEWeightPlan *plan);

/* How many inputs the program has; -1 on failure. */
ANE_BRIDGE_API int ane_bridge_plan_inputs(ANEWeightPlan *plan);
/* The packed bytes of input `idx`, as the compile functions want them; 0 on failure. */
ANE_BRIDGE_API size_t ane_bridge_plan_input_bytes(ANEWeightPlan *plan, int idx);
/* How many activations and weights there are, in all inputs; -1 on failure. */
ANE_BRIDGE_API int ane_bridge_plan_parts(ANEWeightPlan *plan);
/* The name of one of them, as long as the plan is not freed; NULL on failure. */
ANE_BRIDGE_API const char *ane_bridge_plan_part_name(ANEWeightPlan *plan, int idx);
/* The number of its elements; 0 on failure. */
ANE_BRIDGE_API size_t ane_bridge_plan_part_elements(ANEWeightPlan *plan, int idx);

/* Writes the activation or weight `part` into its place in its input, and nothing beside it:
 * `count` floats in row-major order, or those of the transposed matrix, rounded to nearest, ties to
 * even, where the input is fp16. The kernel is one of any compile function, of the program that the
 * plan belongs to. False on failure. */
ANE_BRIDGE_API bool ane_bridge_write_planned(ANEKernelHandle *kernel, ANEWeightPlan *plan,
                                             const char *part, const float *values, size_t count,
                                             bool transposed);

/* --- Weight files ---
 *
 * All take a row-major matrix of `rows` times `cols`, both at least 1, and give memory of *out_len
 * bytes that ane_bridge_free_blob() frees; NULL on failure, with *out_len 0. */

/* A weight file (MILBlob version 2) with one record of fp16: a header of 64 bytes, a record of 64
 * bytes at offset 64, which is what BLOBFILE says, and rows * cols * 2 bytes. Rounded to nearest,
 * ties to even; beyond the range of fp16: infinity. */
ANE_BRIDGE_API uint8_t *ane_bridge_build_weight_blob(const float *src, int rows, int cols,
                                                     size_t *out_len);
/* The same of the transposed matrix, cols times rows. */
ANE_BRIDGE_API uint8_t *ane_bridge_build_weight_blob_transposed(const float *src, int rows,
                                                                int cols, size_t *out_len);
/* A record without a file's header, and int8 values behind it: 64 bytes, EF BE AD DE 01, at byte 10
 * 08, otherwise zeros, then rows * cols bytes. No weight file by the format: it has neither a count
 * nor a version, and its record tells fp16 and no place. */
ANE_BRIDGE_API uint8_t *ane_bridge_build_weight_blob_int8(const int8_t *src, int rows, int cols,
                                                          size_t *out_len);
/* The same of floats as multiples of one scale, max|src| / 127, rounded to nearest, halves away
 * from zero: src = *out_scale * value. The scale of zeros alone is 1. A value that is infinite or
 * no number is an error. */
ANE_BRIDGE_API uint8_t *ane_bridge_build_weight_blob_quantized(const float *src, int rows, int cols,
                                                               float *out_scale, size_t *out_len);
/* NULL is no error. */
ANE_BRIDGE_API void ane_bridge_free_blob(void *ptr);

#ifdef __cplusplus
}
#endif
