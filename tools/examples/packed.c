/* Runs a program whose weights come at run time, by the plan that was written beside it:
 *
 *     milc emit ffn_fwd_taps --config=small --weights-as=packed -o DIR
 *     example_packed DIR ffn_fwd_taps VALUES OUTPUT_BYTES RESULT
 *
 * VALUES is a folder with NAME.f32 for each activation and weight of the plan: its elements as
 * floats. The output's packed bytes go to the file RESULT. Weight files of the constants that the
 * program still has (masks, gains) are those in DIR/weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milgen/ane_bridge.h"

#define MOST_WEIGHTS 64
#define MOST_INPUTS 64

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, ane_bridge_last_error());
  return 1;
}

/* All bytes of a file and a zero behind them; NULL when it cannot be read. */
static char *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  char *data = NULL;
  long size = -1;
  if (file == NULL) {
    fprintf(stderr, "%s cannot be opened\n", path);
    return NULL;
  }
  if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  if (size >= 0 && fseek(file, 0, SEEK_SET) == 0) data = malloc((size_t)size + 1);
  if (data != NULL && fread(data, 1, (size_t)size, file) != (size_t)size) {
    free(data);
    data = NULL;
  }
  fclose(file);
  if (data == NULL) {
    fprintf(stderr, "%s cannot be read\n", path);
    return NULL;
  }
  data[size] = '\0';
  *bytes = (size_t)size;
  return data;
}

/* The weight files that a text names, as the bridge wants them. */
struct Weights {
  int count;
  const char *names[MOST_WEIGHTS];
  const uint8_t *data[MOST_WEIGHTS];
  size_t bytes[MOST_WEIGHTS];
};

static char *copy_of(const char *text, size_t length) {
  char *copy = malloc(length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

static int read_weights(const char *folder, const char *mil, struct Weights *weights) {
  const char *model_path = "@model_path";
  const char *at = mil;
  weights->count = 0;
  while ((at = strstr(at, model_path)) != NULL && weights->count < MOST_WEIGHTS) {
    char path[1024];
    const int i = weights->count;
    char *name = copy_of(at, strcspn(at, "\""));
    if (name == NULL) return 1;
    snprintf(path, sizeof path, "%s%s", folder, name + strlen(model_path));
    weights->names[i] = name;
    weights->data[i] = (uint8_t *)read_file(path, &weights->bytes[i]);
    weights->count = i + 1;
    if (weights->data[i] == NULL) return 1;
    at += strlen(name);
  }
  return 0;
}

static void free_weights(struct Weights *weights) {
  int i;
  for (i = 0; i < weights->count; ++i) {
    free((void *)weights->names[i]);
    free((void *)weights->data[i]);
  }
}

static ANEKernelHandle *compile(const char *mil, size_t mil_bytes, struct Weights *weights,
                                ANEWeightPlan *plan, size_t output_bytes) {
  size_t inputs[MOST_INPUTS];
  const int count = ane_bridge_plan_inputs(plan);
  int i;
  if (count < 0 || count > MOST_INPUTS) return NULL;
  for (i = 0; i < count; ++i) inputs[i] = ane_bridge_plan_input_bytes(plan, i);
  return ane_bridge_compile_multi_weights(mil, mil_bytes, weights->names, weights->data,
                                          weights->bytes, weights->count, count, inputs, 1,
                                          &output_bytes);
}

/* Every activation and weight of the plan, from its own file. */
static int write_parts(ANEKernelHandle *kernel, ANEWeightPlan *plan, const char *folder) {
  const int parts = ane_bridge_plan_parts(plan);
  int i;
  for (i = 0; i < parts; ++i) {
    char path[1024];
    size_t bytes = 0;
    const char *name = ane_bridge_plan_part_name(plan, i);
    float *values;
    bool written;
    snprintf(path, sizeof path, "%s/%s.f32", folder, name);
    values = (float *)read_file(path, &bytes);
    if (values == NULL) return 1;
    written = ane_bridge_write_planned(kernel, plan, name, values, bytes / sizeof(float), false);
    free(values);
    if (!written) return fail(name);
    printf("%s: %zu elements\n", name, ane_bridge_plan_part_elements(plan, i));
  }
  return 0;
}

static int write_result(ANEKernelHandle *kernel, size_t bytes, const char *path) {
  void *data = calloc(bytes, 1);
  FILE *file = fopen(path, "wb");
  int result = 1;
  if (data != NULL && file != NULL) {
    ane_bridge_read_output(kernel, 0, data, bytes);
    if (ane_bridge_last_error()[0] != '\0') {
      fail("output");
    } else if (fwrite(data, 1, bytes, file) == bytes) {
      printf("output: %zu bytes\n", bytes);
      result = 0;
    }
  }
  if (file != NULL && fclose(file) != 0) result = 1;
  free(data);
  return result;
}

static int run(const char *folder, const char *kernel_name, const char *values, size_t output_bytes,
               const char *result_path) {
  char path[1024];
  size_t mil_bytes = 0;
  size_t plan_bytes = 0;
  char *mil;
  char *plan_text;
  struct Weights weights = {0};
  ANEWeightPlan *plan = NULL;
  ANEKernelHandle *kernel = NULL;
  int result = 1;

  snprintf(path, sizeof path, "%s/%s.mil", folder, kernel_name);
  mil = read_file(path, &mil_bytes);
  snprintf(path, sizeof path, "%s/%s.plan", folder, kernel_name);
  plan_text = read_file(path, &plan_bytes);
  if (mil != NULL && plan_text != NULL && read_weights(folder, mil, &weights) == 0) {
    plan = ane_bridge_read_plan(plan_text, plan_bytes);
    if (plan == NULL) {
      fail("plan");
    } else if ((kernel = compile(mil, mil_bytes, &weights, plan, output_bytes)) == NULL) {
      fail("compile");
    } else if (write_parts(kernel, plan, values) == 0) {
      result = ane_bridge_eval(kernel) ? write_result(kernel, output_bytes, result_path)
                                       : fail("evaluate");
    }
  }
  ane_bridge_free(kernel);
  ane_bridge_free_plan(plan);
  free_weights(&weights);
  free(plan_text);
  free(mil);
  return result;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: %s DIR KERNEL VALUES OUTPUT_BYTES RESULT\n", argv[0]);
    return 2;
  }
  if (ane_bridge_init() != 0) return fail("engine");
  return run(argv[1], argv[2], argv[3], (size_t)strtoull(argv[4], NULL, 10), argv[5]);
}
