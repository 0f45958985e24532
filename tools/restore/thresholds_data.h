// thresholds_data.h — deploy/config/thresholds.toml as text; CMake writes the .cc.
#pragma once

namespace kembar::restore {

extern const char kThresholdsToml[];

}  // namespace kembar::restore
