-- Check which messages wait, run or are dead. ARGV: ids. Returns '1' or '0' for each.

local answers = {}
for i, id in ipairs(ARGV) do
    local key = P .. 'm:' .. id
    local state = byte(call('GETRANGE', key, 0, 0), 1)
    local ended = state == COMPLETED or state == CANCELLED
    answers[i] = not ended and (state or call('EXISTS', key) == 1) and '1' or '0'
end
return table.concat(answers)
