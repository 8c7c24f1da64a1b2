-- Check which messages wait, run or are dead. ARGV: ids. Returns '1' or '0' for each.

local now = clock(0)
local answers = {}
for i, id in ipairs(ARGV) do
    local known, state = is_known(id, now)
    local ended = state == COMPLETED or state == CANCELLED
    answers[i] = known and not ended and '1' or '0'
end
return table.concat(answers)
