#include "cpu/fusion.h"

#include "cpu/product_groups.h"
#include "cpu/tape_groups.h"

namespace milgen::cpu {

void make_groups(Plan& plan, Runner& shapes) {
  make_product_groups(plan, shapes);
  make_tape_groups(plan, shapes);
}

}  // namespace milgen::cpu
