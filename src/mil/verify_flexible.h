// FlexibleShapeInformation (mil_text_format, section 3): which shapes the inputs of a function
// take.
#pragma once

#include "mil/module_data.h"
#include "mil/verify_report.h"

namespace milgen::mil {

/// Holds the attribute, where the function has it, against the function's inputs. All that it
/// reports are warnings: the program is judged for all shapes alike.
void verify_flexible_shapes(const ModuleData& data, const FunctionRecord& function,
                            VerifyReport& report);

}  // namespace milgen::mil
