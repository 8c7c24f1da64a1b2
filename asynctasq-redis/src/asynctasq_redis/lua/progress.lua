-- How far messages are. ARGV: ids.

local answer = {}
for i, id in ipairs(ARGV) do
    answer[i] = call('HGET', P .. 'x:' .. id, 'p')
end
return answer
